//! The daily trade bill: fetched, checked against its hash, read.

use std::collections::HashMap;
use std::io::Read;

use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use flate2::read::MultiGzDecoder;
use serde::Deserialize;

use super::transport::Request;
use super::trouble::NO_BILL;
use super::{SERVICE, WeChatPay};
use crate::kernel::{Day, Fen, Timestamp};
use crate::ports::{BillEntry, BillRow, BillSums, Failure, FailureKind, TradeBill, UnreadableRow};
use crate::protocol::foreign;

/// Largest bill that is read, before and after it is unpacked.
const MAX_BILL: u64 = 256 * 1024 * 1024;
/// Without these a file is no bill.
const REQUIRED: [&str; 5] = ["交易时间", "微信订单号", "商户订单号", "交易状态", "订单金额"];
/// The first column that anybody may have written into. What stands before it is at its place whatever the text is.
const FIRST_FREE_TEXT: &str = "商品名称";
/// What the first column of the sums is called; a line that starts with it ends the rows.
const SUMS_START: &str = "总交易单数";

#[derive(Deserialize)]
struct Promise {
    hash_type: String,
    hash_value: String,
    download_url: String,
}

impl WeChatPay {
    pub(super) async fn call_trade_bill(&self, day: Day) -> Result<TradeBill, Failure> {
        let file = match self.fetch_bill(day).await {
            // Its address lives for a short time and may serve once, so a failed download starts anew.
            Err(failure) if failure.kind != FailureKind::Throttled => self.fetch_bill(day).await?,
            outcome => outcome?,
        };
        let Some(file) = file else { return Ok(TradeBill::default()) };
        parse(&file).map_err(|problem| trouble(format!("the bill of {day}: {problem}")))
    }

    /// The unpacked file, checked against its hash; `None` for a day on which nothing happened.
    async fn fetch_bill(&self, day: Day) -> Result<Option<Vec<u8>>, Failure> {
        let target = format!("/v3/bill/tradebill?bill_date={day}&bill_type=ALL&tar_type=GZIP");
        let promise: Promise = match self.ask_for(&Request::get("wechat_pay.bill", target)).await {
            Err(failure) if failure.code.as_deref() == Some(NO_BILL) => return Ok(None),
            outcome => outcome?,
        };
        if !promise.hash_type.eq_ignore_ascii_case("SHA1") {
            return Err(trouble("the hash of the bill is not SHA1".to_owned()));
        }
        let mut request =
            Request::get("wechat_pay.bill_file", download_target(&promise.download_url).map_err(trouble)?);
        request.max_answer = MAX_BILL;
        // This answer alone is not signed: the hash, which was, vouches for it.
        let answer = self.transport.send(&request).await?;
        let file = unpacked(&answer.body).map_err(trouble)?;
        let hash = hex::encode(digest(&SHA1_FOR_LEGACY_USE_ONLY, &file));
        if !hash.eq_ignore_ascii_case(&promise.hash_value) {
            return Err(trouble("the bill does not have the promised hash".to_owned()));
        }
        Ok(Some(file))
    }
}

fn trouble(problem: String) -> Failure {
    Failure::new(SERVICE, FailureKind::Unknown, problem)
}

/// Path and query of the address, unchanged. The host is one of ours: a signed request goes nowhere else.
fn download_target(url: &str) -> Result<String, String> {
    let rest = url.split_once("://").map(|(_, rest)| rest).ok_or("the bill's address is no URL")?;
    let path = rest.find('/').map(|at| &rest[at..]).ok_or("the bill's address has no path")?;
    if path.starts_with("//") {
        return Err("the bill's address has no plain path".to_owned());
    }
    Ok(path.to_owned())
}

/// The file, whether or not it came packed.
fn unpacked(file: &[u8]) -> Result<Vec<u8>, String> {
    if !file.starts_with(&[0x1f, 0x8b]) {
        return Ok(file.to_vec());
    }
    let mut plain = Vec::new();
    let mut reader = MultiGzDecoder::new(file).take(MAX_BILL + 1);
    reader.read_to_end(&mut plain).map_err(|error| format!("the bill does not unpack: {error}"))?;
    if plain.len() as u64 > MAX_BILL { Err("the bill is too large".to_owned()) } else { Ok(plain) }
}

/// Reads a bill of type `ALL`: columns by their names, amounts exactly. A line that cannot be read costs that line, which
/// is named; its number of the payment is read all the same if the free texts behind it are at fault.
///
/// ```
/// use dream_core::adapters::wechat_pay::bill::parse;
///
/// // A file that is no bill is refused, and no line of it is guessed.
/// assert!(parse("交易时间,公众账号ID\n".as_bytes()).is_err());
/// assert!(parse(&[0xff, 0xfe]).unwrap_err().contains("no column"));
/// ```
///
/// # Errors
/// A text that says what is wrong with the file as a whole: a column or its end is missing.
pub fn parse(file: &[u8]) -> Result<TradeBill, String> {
    let text = foreign::text(file);
    let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
    let mut lines = text
        .lines()
        .enumerate()
        .map(|(index, line)| (index + 1, line.trim_end()))
        .filter(|(_, line)| !line.is_empty());
    let (_, header) = lines.next().ok_or("it is empty")?;
    let columns = Columns::new(header);
    if let Some(missing) = REQUIRED.iter().find(|column| !columns.places.contains_key(*column)) {
        return Err(format!("it has no column {missing}"));
    }
    let mut bill = TradeBill::default();
    let mut last_unreadable = 0;
    for (number, line) in lines.by_ref() {
        if line.trim_start_matches('`').starts_with(SUMS_START) {
            let names = Columns::new(line);
            let (number, line) = lines.next().ok_or("its sums are missing")?;
            bill.sums = sums(&names.line(line).map_err(at(number))?).map_err(at(number))?;
            return Ok(bill);
        }
        // A line break in a free text: what follows it belongs to the line that it broke.
        let is_continuation = !line.starts_with('`') && last_unreadable + 1 == number;
        match columns.line(line).and_then(|fields| row(&fields)) {
            Ok(row) => bill.rows.push(row),
            Err(_) if is_continuation => last_unreadable = number,
            Err(problem) => {
                last_unreadable = number;
                bill.unreadable.push(columns.unreadable(number, line, problem));
            }
        }
    }
    Err("it ends before its sums".to_owned())
}

fn at(number: usize) -> impl Fn(String) -> String {
    move |problem| format!("line {number}: {problem}")
}

struct Columns<'a> {
    places: HashMap<&'a str, usize>,
    count: usize,
}

impl<'a> Columns<'a> {
    fn new(header: &'a str) -> Self {
        let names = || header.split(',').map(|name| name.trim().trim_matches('`'));
        let places = names().enumerate().map(|(place, name)| (name, place)).collect();
        Self { places, count: names().count() }
    }

    /// The fields of a line. Each starts with a backtick, so that a comma alone does not end one.
    fn line(&self, line: &'a str) -> Result<Fields<'_>, String> {
        let fields: Vec<&str> = line.strip_prefix('`').ok_or("no backtick")?.split(",`").collect();
        if fields.len() != self.count {
            return Err(format!("{} fields under {} columns", fields.len(), self.count));
        }
        Ok(Fields { columns: self, fields })
    }

    /// What can be read of a line that cannot be read as a whole.
    fn unreadable(&self, number: usize, line: &str, problem: String) -> UnreadableRow {
        let fields: Vec<&str> = line.strip_prefix('`').unwrap_or(line).split(",`").collect();
        let certain = self.places.get(FIRST_FREE_TEXT).copied().unwrap_or(self.count);
        let find = |column: &str| {
            let place = *self.places.get(column)?;
            let field = fields.get(place).filter(|_| place < certain && fields.len() > certain)?;
            (!field.is_empty()).then(|| (*field).to_owned())
        };
        UnreadableRow {
            line: number,
            appid: find("公众账号ID"),
            transaction_id: find("微信订单号"),
            out_refund_no: find("商户退款单号").filter(|refund| refund != "0"),
            problem,
        }
    }
}

struct Fields<'a> {
    columns: &'a Columns<'a>,
    fields: Vec<&'a str>,
}

impl Fields<'_> {
    fn find(&self, column: &str) -> Option<&str> {
        self.columns.places.get(column).and_then(|&place| self.fields.get(place)).copied()
    }

    fn required(&self, column: &str) -> Result<&str, String> {
        self.find(column).ok_or_else(|| format!("no column {column}"))
    }

    /// The text; empty where there is no such column.
    fn text(&self, column: &str) -> String {
        self.find(column).unwrap_or_default().to_owned()
    }

    /// The number in units of `10^-places`; 0 where there is no such column, or nothing in it.
    fn number(&self, column: &str, places: usize) -> Result<i64, String> {
        match self.find(column).map(str::trim) {
            None | Some("") => Ok(0),
            Some(text) => decimal(text, places).ok_or_else(|| format!("{column} is not an exact number")),
        }
    }

    fn fen(&self, column: &str) -> Result<Fen, String> {
        self.number(column, 2).map(Fen::new)
    }
}

fn row(fields: &Fields<'_>) -> Result<BillRow, String> {
    fields.required("订单金额")?;
    let entry = match fields.required("交易状态")? {
        "SUCCESS" => BillEntry::Payment,
        "REFUND" => BillEntry::Refund {
            channel_refund_id: fields.text("微信退款单号"),
            out_refund_no: fields.text("商户退款单号"),
            amount: fields.fen("退款金额")?,
            applied: fields.fen("申请退款金额")?,
            status: fields.text("退款状态"),
        },
        other => BillEntry::Other(other.to_owned()),
    };
    Ok(BillRow {
        at: time(fields.required("交易时间")?)?,
        transaction_id: fields.required("微信订单号")?.to_owned(),
        out_trade_no: fields.required("商户订单号")?.to_owned(),
        payer_openid: fields.text("用户标识"),
        appid: fields.text("公众账号ID"),
        mchid: fields.text("商户号"),
        currency: fields.text("货币种类"),
        total: fields.fen("订单金额")?,
        settled: fields.fen("应结订单金额")?,
        coupon: fields.fen("代金券金额")?,
        fee_millifen: fields.number("手续费", 5)?,
        description: fields.text("商品名称"),
        attach: fields.text("商户数据包"),
        entry,
    })
}

fn sums(fields: &Fields<'_>) -> Result<BillSums, String> {
    Ok(BillSums {
        rows: fields.number(SUMS_START, 0)?,
        settled: fields.fen("应结订单总金额")?,
        refund: fields.fen("退款总金额")?,
        coupon_refund: fields.fen("充值券退款总金额")?,
        fee_millifen: fields.number("手续费总金额", 5)?,
        total: fields.fen("订单总金额")?,
        applied_refund: fields.fen("申请退款总金额")?,
    })
}

/// `yyyy-MM-dd HH:mm:ss`, Beijing time.
fn time(text: &str) -> Result<Timestamp, String> {
    let wrong = || "交易时间 is no time".to_owned();
    let at = jiff::civil::DateTime::strptime("%Y-%m-%d %H:%M:%S", text).map_err(|_| wrong())?;
    let at = at.to_zoned_datetime(jiff::tz::TimeZone::fixed(jiff::tz::offset(8))).map_err(|_| wrong())?;
    Ok(Timestamp::from_micros(at.timestamp().as_microsecond()))
}

/// A decimal number in units of `10^-places`, if it is one exactly. No floating point is involved.
fn decimal(text: &str, places: usize) -> Option<i64> {
    let (negative, digits) = match text.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, text),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let all_digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() || !all_digits(whole) || !all_digits(fraction) {
        return None;
    }
    let (kept, rest) = fraction.split_at(places.min(fraction.len()));
    if rest.bytes().any(|digit| digit != b'0') {
        return None;
    }
    let magnitude: i64 = format!("{whole}{kept:0<places$}").parse().ok()?;
    Some(if negative { -magnitude } else { magnitude })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_exact_or_refused() {
        assert_eq!(decimal("19.99", 2), Some(1999));
        assert_eq!(decimal("10", 2), Some(1000));
        assert_eq!(decimal("0.5", 2), Some(50));
        assert_eq!(decimal("-0.12000", 5), Some(-12_000));
        assert_eq!(decimal("19.990", 2), Some(1999));
        assert_eq!(decimal("45.0", 0), Some(45));
        for wrong in ["19.999", "", ".5", "1e3", "1,000.00", "--1", "+1", "99999999999999999999"] {
            assert_eq!(decimal(wrong, 2), None, "{wrong}");
        }
    }

    #[test]
    fn the_address_keeps_its_path_and_query() {
        let target = download_target("https://api.mch.weixin.qq.com/v3/billdownload/file?token=a%2Bb&x=1");
        assert_eq!(target.as_deref(), Ok("/v3/billdownload/file?token=a%2Bb&x=1"));
        assert!(download_target("https://host//evil.test/").is_err());
        assert!(download_target("file").is_err());
    }
}
