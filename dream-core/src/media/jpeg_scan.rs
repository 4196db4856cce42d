//! Whether the coded pixels of a JPEG are all there and decode to the end.
//!
//! Decoders of the field paint what is missing or damaged grey and report success, since a viewer prefers half a
//! picture to none; libjpeg alone reports a warning. This check reads the Huffman codes of every scan without
//! computing a pixel, and refuses a scan that reaches a marker before its last block, holds a code that does not
//! exist, runs beyond the 64th coefficient, gives a block a brightness that no pixels have, or leaves data over. It decides
//! nothing about arithmetic, lossless and hierarchical coding, nor about a file without Huffman tables: those are left to
//! the decoder.
//!
//! Time is bounded by [`MAX_SCANS`] times the number of blocks, memory by 8 bytes for each block of 64 samples, and
//! both by the limit of pixels, which the caller checks before.
//!
//! Source: ITU-T T.81, annexes B (structure), F (sequential) and G (progressive).

use std::rc::Rc;

use super::MAX_PIXELS;

/// As the decoder allows. Encoders write about ten.
const MAX_SCANS: usize = 100;
/// Bytes that may be left over before the marker that ends a scan or a restart interval. Some cameras write a few.
const MAX_LEFT_OVER: usize = 16;
/// Largest DC coefficient: eight times the mean of eight bits around zero is 1024 (T.81, A.3.3), and some encoders
/// exceed it a little.
const MAX_DC: i32 = 1024 + 512;
/// Codes up to this length are decoded by one look-up.
const LOOKAHEAD: u8 = 9;

/// What is wrong with the coded pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Damage {
    /// A marker or the end of the file comes before the last block.
    EndsEarly,
    /// A code that is not in its table, a coefficient beyond the 64th, or one that no pixels give.
    BadCode,
    /// More data than the blocks take.
    LeftOver,
    /// A component of the picture has no scan.
    NoScan,
    /// Its structure contradicts itself, or it has more scans than are read.
    Structure,
}

type Checked<T = ()> = Result<T, Damage>;

/// Reads the whole picture, up to the marker that ends it.
pub(super) fn check(bytes: &[u8]) -> Checked {
    let mut file = File { bytes, at: 2, ..File::default() };
    loop {
        match file.next_marker()? {
            0xD9 => return file.all_scanned(),
            // Sequential and progressive with Huffman codes.
            marker @ (0xC0..=0xC2) => file.frame(marker)?,
            0xC4 => file.tables()?,
            0xDB => file.steps()?,
            0xC3 | 0xC5..=0xCF => return Ok(()),
            0xDD => {
                let content = file.segment()?;
                let interval = content.get(..2).ok_or(Damage::Structure)?;
                file.restart_interval = usize::from(u16::from_be_bytes([interval[0], interval[1]]));
            }
            0xDA => {
                if !file.scan()? {
                    return Ok(());
                }
            }
            // Markers without content.
            0x01 | 0xD0..=0xD8 => {}
            _ => drop(file.segment()?),
        }
    }
}

struct Component {
    id: u8,
    across: usize,
    down: usize,
    /// Blocks of a line, and lines of blocks, up to whole groups of blocks.
    stride: usize,
    lines: usize,
    scanned: bool,
    /// Its table of quantization steps.
    quantization: usize,
    /// The last value of a DC coefficient, in quantization steps.
    dc: i32,
    /// Of a progressive picture one word for each block: which coefficients are not zero so far.
    nonzero: Vec<u64>,
}

#[derive(Default)]
struct File<'a> {
    bytes: &'a [u8],
    at: usize,
    progressive: bool,
    width: usize,
    height: usize,
    components: Vec<Component>,
    dc: [Option<Rc<Table>>; 4],
    ac: [Option<Rc<Table>>; 4],
    /// The quantization step of DC coefficients in each table.
    dc_steps: [i32; 4],
    restart_interval: usize,
    scans: usize,
}

/// The parameters of one scan.
#[derive(Clone, Copy)]
struct Band {
    first: usize,
    last: usize,
    refining: bool,
    /// How many low bits of the coefficients a later scan brings.
    shift: u8,
}

impl<'a> File<'a> {
    fn next_marker(&mut self) -> Checked<u8> {
        loop {
            let rest = self.bytes.get(self.at..).unwrap_or_default();
            let gap = rest.iter().position(|byte| *byte == 0xFF).ok_or(Damage::EndsEarly)?;
            let marker = *rest.get(gap + 1).ok_or(Damage::EndsEarly)?;
            self.at += gap + 1;
            if !matches!(marker, 0x00 | 0xFF) {
                self.at += 1;
                return Ok(marker);
            }
        }
    }

    /// The content of the segment whose marker was just read.
    fn segment(&mut self) -> Checked<&'a [u8]> {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        let length = rest.get(..2).ok_or(Damage::EndsEarly)?;
        let length = usize::from(u16::from_be_bytes([length[0], length[1]]));
        self.at += length;
        rest.get(2..length).ok_or(Damage::EndsEarly)
    }

    fn frame(&mut self, marker: u8) -> Checked {
        let content = self.segment()?;
        let (head, components) = content.split_at_checked(6).ok_or(Damage::Structure)?;
        if !self.components.is_empty() {
            return Err(Damage::Structure);
        }
        self.progressive = marker == 0xC2;
        self.height = usize::from(u16::from_be_bytes([head[1], head[2]]));
        self.width = usize::from(u16::from_be_bytes([head[3], head[4]]));
        // The decoder may have read another header than this one.
        if (self.width * self.height) as u64 > MAX_PIXELS {
            return Err(Damage::Structure);
        }
        for it in components.chunks_exact(3).take(usize::from(head[5])) {
            let (across, down) = (usize::from(it[1] >> 4), usize::from(it[1] & 15));
            if !(1..=4).contains(&across) || !(1..=4).contains(&down) {
                return Err(Damage::Structure);
            }
            self.components.push(Component {
                id: it[0],
                across,
                down,
                stride: 0,
                lines: 0,
                scanned: false,
                quantization: usize::from(it[2]),
                dc: 0,
                nonzero: Vec::new(),
            });
        }
        if self.components.is_empty() || self.components.len() > 4 {
            return Err(Damage::Structure);
        }
        let (groups, group_lines) = self.groups();
        for component in &mut self.components {
            component.stride = groups * component.across;
            component.lines = group_lines * component.down;
            if self.progressive {
                component.nonzero = vec![0; component.stride * component.lines];
            }
        }
        Ok(())
    }

    fn most(&self) -> (usize, usize) {
        let across = self.components.iter().map(|it| it.across).max().unwrap_or(1);
        (across, self.components.iter().map(|it| it.down).max().unwrap_or(1))
    }

    /// Groups of blocks of a line, and lines of groups (T.81, A.2.3 and A.2.4).
    fn groups(&self) -> (usize, usize) {
        let (across, down) = self.most();
        (self.width.div_ceil(8 * across), self.height.div_ceil(8 * down))
    }

    fn tables(&mut self) -> Checked {
        let mut rest = self.segment()?;
        while let Some((head, after)) = rest.split_at_checked(17) {
            let counts: [u8; 16] = head[1..].try_into().map_err(|_| Damage::Structure)?;
            let total = counts.iter().map(|count| usize::from(*count)).sum();
            let (values, after) = after.split_at_checked(total).ok_or(Damage::Structure)?;
            let tables = if head[0] >> 4 == 0 { &mut self.dc } else { &mut self.ac };
            let place = tables.get_mut(usize::from(head[0] & 15)).ok_or(Damage::Structure)?;
            *place = Some(Rc::new(Table::new(&counts, values)?));
            rest = after;
        }
        Ok(())
    }

    /// Of each quantization table the first step, which is that of DC coefficients (T.81, B.2.4.1).
    fn steps(&mut self) -> Checked {
        let mut rest = self.segment()?;
        while let Some((head, after)) = rest.split_first() {
            let wide = head >> 4 != 0;
            let (table, after) =
                after.split_at_checked(if wide { 128 } else { 64 }).ok_or(Damage::Structure)?;
            let step = if wide { u16::from_be_bytes([table[0], table[1]]) } else { u16::from(table[0]) };
            if let Some(place) = self.dc_steps.get_mut(usize::from(head & 15)) {
                *place = i32::from(step);
            }
            rest = after;
        }
        Ok(())
    }

    /// Reads the scan whose marker was just read; `false` if a table is missing, which the decoder decides about.
    fn scan(&mut self) -> Checked<bool> {
        let (band, members) = self.scan_header()?;
        let needs_dc = band.first == 0 && !band.refining;
        let needs_ac = band.last > 0;
        if members.iter().any(|it| (needs_dc && it.dc.is_none()) || (needs_ac && it.ac.is_none())) {
            return Ok(false);
        }
        let (groups, group_lines) = match members.as_slice() {
            // Alone in its scan a component has no blocks beyond the edge of the picture (T.81, A.2.2).
            [member] => {
                let component = &self.components[member.component];
                let (across, down) = self.most();
                let blocks = |side: usize, own: usize, most: usize| (side * own).div_ceil(8 * most);
                (blocks(self.width, component.across, across), blocks(self.height, component.down, down))
            }
            _ => self.groups(),
        };
        let mut bits = Bits { bytes: self.bytes, at: self.at, held: 0, count: 0, missing: false };
        let mut skip = 0;
        self.reset_dc();
        for group in 0..groups * group_lines {
            if self.restart_interval > 0 && group > 0 && group % self.restart_interval == 0 {
                bits.restart()?;
                skip = 0;
                self.reset_dc();
            }
            for member in &members {
                let place = (group / groups, group % groups, members.len() == 1);
                self.blocks(&mut bits, member, band, place, &mut skip)?;
            }
            if bits.missing {
                return Err(Damage::EndsEarly);
            }
        }
        for member in &members {
            self.components[member.component].scanned |= band.first == 0;
        }
        self.at = bits.end()?;
        Ok(true)
    }

    /// The parameters of a scan, and the components in it (T.81, B.2.3).
    fn scan_header(&mut self) -> Checked<(Band, Vec<Member>)> {
        let content = self.segment()?;
        self.scans += 1;
        let count = usize::from(*content.first().ok_or(Damage::Structure)?);
        let parameters = content.get(1 + 2 * count..4 + 2 * count).ok_or(Damage::Structure)?;
        if self.scans > MAX_SCANS || !(1..=4).contains(&count) {
            return Err(Damage::Structure);
        }
        let band = if self.progressive {
            let (first, last) = (usize::from(parameters[0]), usize::from(parameters[1]));
            if first > last || last > 63 || (first == 0 && last != 0) || (first > 0 && count > 1) {
                return Err(Damage::Structure);
            }
            Band { first, last, refining: parameters[2] >> 4 != 0, shift: parameters[2] & 15 }
        } else {
            Band { first: 0, last: 63, refining: false, shift: 0 }
        };
        let mut members: Vec<Member> = Vec::with_capacity(count);
        for it in content[1..].chunks_exact(2).take(count) {
            let at = self.components.iter().position(|component| component.id == it[0]);
            let at = at.ok_or(Damage::Structure)?;
            if members.iter().any(|member| member.component == at) {
                return Err(Damage::Structure);
            }
            let table = |tables: &[Option<Rc<Table>>; 4], number: u8| {
                tables.get(usize::from(number)).and_then(Option::clone)
            };
            let (dc, ac) = (table(&self.dc, it[1] >> 4), table(&self.ac, it[1] & 15));
            members.push(Member { component: at, dc, ac });
        }
        Ok((band, members))
    }

    fn reset_dc(&mut self) {
        for component in &mut self.components {
            component.dc = 0;
        }
    }

    /// Reads the blocks of a component in one group, which is this line and column, and a single block where the
    /// component is alone in its scan.
    fn blocks(
        &mut self,
        bits: &mut Bits<'_>,
        member: &Member,
        band: Band,
        (line, column, alone): (usize, usize, bool),
        skip: &mut u32,
    ) -> Checked {
        let component = &mut self.components[member.component];
        let (across, down) = if alone { (1, 1) } else { (component.across, component.down) };
        let step = self.dc_steps.get(component.quantization).copied().unwrap_or(0);
        for block in 0..across * down {
            if self.progressive {
                let at = (line * down + block / across) * component.stride + column * across + block % across;
                let nonzero = component.nonzero.get_mut(at).ok_or(Damage::Structure)?;
                bits.progressive_block(member, band, nonzero, &mut component.dc, skip)?;
            } else {
                bits.sequential_block(member, &mut component.dc)?;
            }
            if (component.dc << band.shift).saturating_mul(step).abs() > MAX_DC + step {
                return Err(Damage::BadCode);
            }
        }
        Ok(())
    }

    fn all_scanned(&self) -> Checked {
        let all = !self.components.is_empty() && self.components.iter().all(|component| component.scanned);
        if all { Ok(()) } else { Err(Damage::NoScan) }
    }
}

/// A component in a scan, with its tables.
struct Member {
    component: usize,
    dc: Option<Rc<Table>>,
    ac: Option<Rc<Table>>,
}

/// Huffman codes of one table (T.81, annex C).
struct Table {
    /// By the next bits: the length of the code, and its value.
    short: [(u8, u8); 1 << LOOKAHEAD],
    /// For each length the first code beyond those of this length, left-aligned in 16 bits.
    beyond: [u32; 17],
    /// For each length what to add to a code to get the index of its value.
    offset: [i32; 17],
    values: Vec<u8>,
}

impl Table {
    fn new(counts: &[u8; 16], values: &[u8]) -> Checked<Self> {
        let mut table = Self {
            short: [(0, 0); 1 << LOOKAHEAD],
            beyond: [0; 17],
            offset: [0; 17],
            values: values.to_vec(),
        };
        let (mut code, mut index) = (0_u32, 0_usize);
        for (length, count) in (1_u8..).zip(counts) {
            let place = usize::from(length);
            table.offset[place] = i32::try_from(index).unwrap_or(0) - i32::try_from(code).unwrap_or(0);
            for value in values.iter().skip(index).take(usize::from(*count)) {
                if code >> length != 0 {
                    return Err(Damage::Structure);
                }
                if length <= LOOKAHEAD {
                    let from = (code << (LOOKAHEAD - length)) as usize;
                    for entry in table.short.iter_mut().skip(from).take(1 << (LOOKAHEAD - length)) {
                        *entry = (length, *value);
                    }
                }
                code += 1;
                index += 1;
            }
            table.beyond[place] = code << (16 - length);
            code <<= 1;
        }
        Ok(table)
    }
}

/// The bits of a scan, without the bytes that escape markers.
struct Bits<'a> {
    bytes: &'a [u8],
    at: usize,
    /// The bits read ahead, `count` of them, the last ones lowest.
    held: u64,
    count: u32,
    /// Bits were asked for beyond the marker that ends the data.
    missing: bool,
}

impl Bits<'_> {
    /// The next byte of data, unless a marker is next. Of several bytes 0xFF all but the last are padding.
    fn next_byte(&mut self) -> Option<u8> {
        let byte = *self.bytes.get(self.at)?;
        if byte == 0xFF {
            while self.bytes.get(self.at + 1) == Some(&0xFF) {
                self.at += 1;
            }
            if self.bytes.get(self.at + 1) != Some(&0) {
                return None;
            }
            self.at += 1;
        }
        self.at += 1;
        Some(byte)
    }

    fn fill(&mut self) {
        while self.count <= 48 {
            let Some(byte) = self.next_byte() else { return };
            self.held = self.held << 8 | u64::from(byte);
            self.count += 8;
        }
    }

    /// The next 16 bits without taking them, zero beyond the end.
    fn peek(&mut self) -> u32 {
        if self.count < 16 {
            self.fill();
        }
        let bits =
            if self.count < 16 { self.held << (16 - self.count) } else { self.held >> (self.count - 16) };
        u32::try_from(bits & 0xFFFF).unwrap_or(0)
    }

    fn take(&mut self, bits: u8) -> u32 {
        let bits = u32::from(bits);
        if self.count < bits {
            self.fill();
        }
        if self.count < bits {
            self.missing = true;
            (self.held, self.count) = (0, 0);
            return 0;
        }
        self.count -= bits;
        u32::try_from(self.held >> self.count & ((1 << bits) - 1)).unwrap_or(0)
    }

    fn decode(&mut self, table: Option<&Table>) -> Checked<u8> {
        let table = table.ok_or(Damage::Structure)?;
        let next = self.peek();
        let (length, value) = table.short[(next >> (16 - LOOKAHEAD)) as usize];
        if length > 0 {
            self.take(length);
            return Ok(value);
        }
        for length in LOOKAHEAD + 1..=16 {
            let place = usize::from(length);
            if next < table.beyond[place] {
                let code = i32::try_from(next >> (16 - length)).unwrap_or(0);
                let index = usize::try_from(code + table.offset[place]).unwrap_or(usize::MAX);
                let value = table.values.get(index).copied().ok_or(Damage::BadCode)?;
                self.take(length);
                return Ok(value);
            }
        }
        Err(if self.count < 16 { Damage::EndsEarly } else { Damage::BadCode })
    }

    fn sequential_block(&mut self, member: &Member, dc: &mut i32) -> Checked {
        self.dc_difference(member, dc)?;
        let mut at = 1;
        while at < 64 {
            let symbol = self.decode(member.ac.as_deref())?;
            let (zeros, size) = (usize::from(symbol >> 4), symbol & 15);
            match (zeros, size) {
                (15, 0) => at += 16,
                (_, 0) => break,
                _ => {
                    at += zeros + 1;
                    if at > 64 {
                        return Err(Damage::BadCode);
                    }
                    self.take(size);
                }
            }
        }
        Ok(())
    }

    /// T.81, F.2.1.3.1.
    fn dc_difference(&mut self, member: &Member, dc: &mut i32) -> Checked {
        let size = self.decode(member.dc.as_deref())?;
        if size > 15 {
            return Err(Damage::BadCode);
        }
        let bits = i32::try_from(self.take(size)).unwrap_or(0);
        // The lower half of the values of a size stands for negative ones.
        let negative = size > 0 && bits >> (size - 1) == 0;
        *dc += if negative { bits - (1 << size) + 1 } else { bits };
        if dc.abs() > MAX_DC { Err(Damage::BadCode) } else { Ok(()) }
    }

    /// T.81, G.1.2 and figures G.3 and G.7. `skip` is the number of blocks that follow without data in this scan.
    fn progressive_block(
        &mut self,
        member: &Member,
        band: Band,
        nonzero: &mut u64,
        dc: &mut i32,
        skip: &mut u32,
    ) -> Checked {
        match (band.first, band.refining) {
            (0, false) => self.dc_difference(member, dc),
            (0, true) => {
                self.take(1);
                Ok(())
            }
            (_, false) => self.first_ac(member, band, nonzero, skip),
            (_, true) => self.refined_ac(member, band, nonzero, skip),
        }
    }

    fn first_ac(&mut self, member: &Member, band: Band, nonzero: &mut u64, skip: &mut u32) -> Checked {
        if *skip > 0 {
            *skip -= 1;
            return Ok(());
        }
        let mut at = band.first;
        while at <= band.last {
            let symbol = self.decode(member.ac.as_deref())?;
            let (zeros, size) = (symbol >> 4, symbol & 15);
            match (zeros, size) {
                (15, 0) => at += 16,
                (run, 0) => {
                    *skip = (1 << run) - 1 + self.take(run);
                    break;
                }
                _ => {
                    at += usize::from(zeros);
                    if at > band.last {
                        return Err(Damage::BadCode);
                    }
                    self.take(size);
                    *nonzero |= 1 << at;
                    at += 1;
                }
            }
        }
        Ok(())
    }

    fn refined_ac(&mut self, member: &Member, band: Band, nonzero: &mut u64, skip: &mut u32) -> Checked {
        let mut at = band.first;
        if *skip == 0 {
            while at <= band.last {
                let symbol = self.decode(member.ac.as_deref())?;
                let (mut zeros, size) = (symbol >> 4, symbol & 15);
                match (zeros, size) {
                    (15, 0) => {}
                    (run, 0) => {
                        *skip = (1 << run) + self.take(run);
                        break;
                    }
                    (_, 1) => {
                        self.take(1);
                    }
                    _ => return Err(Damage::BadCode),
                }
                // Every coefficient on the way that is not zero has one more bit.
                while at <= band.last {
                    if *nonzero >> at & 1 == 1 {
                        self.take(1);
                    } else if zeros == 0 {
                        break;
                    } else {
                        zeros -= 1;
                    }
                    at += 1;
                }
                if size == 1 {
                    if at > band.last {
                        return Err(Damage::BadCode);
                    }
                    *nonzero |= 1 << at;
                }
                at += 1;
            }
        }
        if *skip > 0 {
            *skip -= 1;
            while at <= band.last {
                if *nonzero >> at & 1 == 1 {
                    self.take(1);
                }
                at += 1;
            }
        }
        Ok(())
    }

    /// Moves to the marker after the data; the marker, and the position of its first byte.
    fn marker(&mut self) -> Checked<(u8, usize)> {
        let mut left_over = usize::try_from(self.count / 8).unwrap_or(0);
        while self.next_byte().is_some() {
            left_over += 1;
        }
        (self.held, self.count) = (0, 0);
        let marker = *self.bytes.get(self.at + 1).ok_or(Damage::EndsEarly)?;
        if left_over > MAX_LEFT_OVER { Err(Damage::LeftOver) } else { Ok((marker, self.at)) }
    }

    /// The end of a restart interval.
    fn restart(&mut self) -> Checked {
        let (marker, at) = self.marker()?;
        if !matches!(marker, 0xD0..=0xD7) {
            return Err(Damage::EndsEarly);
        }
        self.at = at + 2;
        Ok(())
    }

    /// The position of the marker that ends the scan. A restart marker after the last interval does no harm.
    fn end(&mut self) -> Checked<usize> {
        loop {
            let (marker, at) = self.marker()?;
            if !matches!(marker, 0xD0..=0xD7) {
                return Ok(at);
            }
            self.at = at + 2;
        }
    }
}
