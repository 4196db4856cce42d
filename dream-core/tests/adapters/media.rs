//! Pictures as they come in, and as they go out again.

use std::io::Cursor;
use std::time::{Duration, Instant};

use dream_core::media::{self, MAX_BYTES, MAX_FRAMES, Owner, Picture, PictureKind};
use dream_core::{Code, Facts, PictureFault, Result};
use flate2::Crc;
use image::codecs::jpeg::JpegEncoder;
use image::codecs::png::PngEncoder;
use image::metadata::Orientation;
use image::{DynamicImage, GenericImageView as _, ImageDecoder, ImageEncoder, ImageFormat, ImageReader, Rgb};

use crate::PEAK;

/// What looking at a header may take, however large the picture claims to be.
const SOON: Duration = Duration::from_secs(5);
/// Of memory beyond the file itself, in bytes. The other tests of this program run beside.
const LITTLE: usize = 32 * 1024 * 1024;

fn sunset(width: u32, height: u32) -> DynamicImage {
    let shade = |n: u32, of: u32| u8::try_from(n * 255 / of.max(1)).unwrap_or(u8::MAX);
    let pixel = |x, y| Rgb([shade(x, width), shade(y, height), 128]);
    DynamicImage::ImageRgb8(image::RgbImage::from_fn(width, height, pixel))
}

fn encoded(picture: &DynamicImage, format: ImageFormat) -> Vec<u8> {
    let mut out = Cursor::new(Vec::new());
    picture.write_to(&mut out, format).expect("a picture");
    out.into_inner()
}

fn every_format(picture: &DynamicImage) -> [(PictureKind, Vec<u8>); 4] {
    [
        (PictureKind::Jpeg, encoded(picture, ImageFormat::Jpeg)),
        (PictureKind::Png, encoded(picture, ImageFormat::Png)),
        (PictureKind::Gif, encoded(picture, ImageFormat::Gif)),
        (PictureKind::Webp, encoded(picture, ImageFormat::WebP)),
    ]
}

async fn clean(bytes: impl Into<Vec<u8>>) -> Result<Picture> {
    media::clean(Owner::Service, bytes.into().into()).await
}

#[track_caller]
fn is_refused<T: std::fmt::Debug>(outcome: Result<T>, fault: PictureFault, what: &str) {
    let error = outcome.expect_err(what);
    let expected = (Code::ImageInvalid, &Facts::Picture(fault));
    assert_eq!((error.code(), error.facts()), expected, "{what}: {}", error.chain());
}

#[track_caller]
fn is_invalid<T: std::fmt::Debug>(outcome: Result<T>, what: &str) {
    let error = outcome.expect_err(what);
    assert_eq!(error.code(), Code::ImageInvalid, "{what}: {}", error.chain());
}

fn contains(bytes: &[u8], text: &str) -> bool {
    bytes.windows(text.len()).any(|window| window == text.as_bytes())
}

/// Reads the picture by its content, which has to be what it says.
fn shown(picture: &Picture) -> DynamicImage {
    let reader = ImageReader::new(Cursor::new(&picture.bytes)).with_guessed_format().expect("memory");
    let format = reader.format().expect("a picture");
    assert_eq!(format.to_mime_type(), picture.kind.mime());
    reader.decode().expect("a picture")
}

/// A chunk of a PNG.
fn chunk(name: &str, content: &[u8]) -> Vec<u8> {
    let mut crc = Crc::new();
    crc.update(name.as_bytes());
    crc.update(content);
    let length = u32::try_from(content.len()).expect("a short chunk");
    [&length.to_be_bytes(), name.as_bytes(), content, &crc.sum().to_be_bytes()].concat()
}

/// The PNG with something more behind its header.
fn with_chunk(png: &[u8], name: &str, content: &[u8]) -> Vec<u8> {
    let (header, rest) = png.split_at(33);
    [header, &chunk(name, content), rest].concat()
}

/// The PNG with another header: width and height as told.
fn claiming(png: &[u8], width: u32, height: u32) -> Vec<u8> {
    let rest = &png[24..29];
    let header = [&width.to_be_bytes(), &height.to_be_bytes(), rest].concat();
    [&png[..8], &chunk("IHDR", &header), &png[33..]].concat()
}

/// A GIF of so many frames, each this wide and high.
fn frames(count: usize, width: u16, height: u16) -> Vec<u8> {
    let mut out = Vec::new();
    let palette = [0, 0, 0, 255, 0, 0, 0, 255, 0, 0, 0, 255];
    let mut encoder = gif::Encoder::new(&mut out, width, height, &palette).expect("a GIF");
    encoder.set_repeat(gif::Repeat::Infinite).expect("a GIF");
    let four = [0, 1, 2, 3].map(|index| {
        let pixels = vec![index; usize::from(width) * usize::from(height)];
        let mut frame = gif::Frame::from_indexed_pixels(width, height, pixels, None);
        frame.delay = 7;
        frame.make_lzw_pre_encoded();
        frame
    });
    for frame in four.iter().cycle().take(count) {
        encoder.write_lzw_pre_encoded_frame(frame).expect("a frame");
    }
    drop(encoder);
    out
}

#[tokio::test]
async fn every_format_is_recognised_by_content_and_written_anew() {
    let picture = sunset(64, 48);
    for (kind, bytes) in every_format(&picture) {
        assert_eq!(media::recognise(bytes.clone().into()).expect("a picture").kind, kind);
        let anew = clean(bytes).await.expect("a picture");
        assert_eq!(anew.kind, kind);
        assert_eq!(shown(&anew).dimensions(), (64, 48));
    }
}

/// A WebP of these chunks.
fn webp_of(chunks: &[(&[u8; 4], &[u8])]) -> Vec<u8> {
    let mut body = b"WEBP".to_vec();
    for (name, content) in chunks {
        let length = u32::try_from(content.len()).expect("a short chunk");
        body.extend([&name[..], &length.to_le_bytes(), content].concat());
        body.resize(body.len().next_multiple_of(2), 0);
    }
    let length = u32::try_from(body.len()).expect("a short file");
    [&b"RIFF"[..], &length.to_le_bytes(), &body].concat()
}

/// The header of an extended WebP (RFC 9649, 2.7).
fn canvas(flags: u8, width: u32, height: u32) -> Vec<u8> {
    let less_one = |side: u32| (side - 1).to_le_bytes()[..3].to_vec();
    [vec![flags, 0, 0, 0], less_one(width), less_one(height)].concat()
}

/// What follows the header of the only chunk of a simple WebP.
fn coded(webp: &[u8]) -> &[u8] {
    let length = u32::from_le_bytes(webp[16..20].try_into().expect("four bytes"));
    &webp[20..20 + length as usize]
}

#[tokio::test]
async fn a_webp_stays_webp_with_its_size_and_what_is_see_through() {
    let glass =
        image::RgbaImage::from_fn(40, 30, |x, _| image::Rgba([9, 120, 200, if x < 20 { 99 } else { 255 }]));
    let lossless = encoded(&DynamicImage::ImageRgba8(glass.clone()), ImageFormat::WebP);
    let anew = clean(lossless).await.expect("a picture");
    assert_eq!(
        (anew.kind, shown(&anew).to_rgba8() == glass),
        (PictureKind::Webp, true),
        "without loss as it was"
    );
    assert!(contains(&anew.bytes, "VP8L"));

    let lossy = webp::Encoder::from_rgba(&glass, 40, 30).encode(80.0).to_vec();
    assert!(contains(&lossy, "VP8 "));
    let both = media::clean_with_thumbnail(Owner::Service, lossy.into()).await.expect("a picture");
    assert_eq!((both.picture.kind, both.thumbnail.kind), (PictureKind::Webp, PictureKind::Png));
    let pixels = shown(&both.picture);
    assert_eq!(pixels.dimensions(), (40, 30));
    assert_eq!((pixels.get_pixel(3, 3)[3], pixels.get_pixel(30, 3)[3]), (99, 255));
    assert!(pixels.get_pixel(3, 3)[2].abs_diff(200) < 8 && contains(&both.picture.bytes, "VP8 "));

    let opaque = sunset(40, 30).into_rgb8();
    let opaque = webp::Encoder::from_rgb(&opaque, 40, 30).encode(80.0).to_vec();
    let both = media::clean_with_thumbnail(Owner::Service, opaque.into()).await.expect("a picture");
    assert_eq!((both.picture.kind, both.thumbnail.kind), (PictureKind::Webp, PictureKind::Jpeg));
    assert!(!shown(&both.picture).color().has_alpha());
}

#[tokio::test]
async fn an_animation_other_than_gif_is_refused_and_not_cut_to_one_frame() {
    let still = encoded(&sunset(16, 16), ImageFormat::WebP);
    // Position, size less one, duration and flags of a frame, then its coded pixels (RFC 9649, 2.7.1.1).
    let place = [&[0; 6][..], &[15, 0, 0, 15, 0, 0], &[100, 0, 0, 0]].concat();
    let image =
        [&b"VP8L"[..], &u32::try_from(coded(&still).len()).expect("short").to_le_bytes(), coded(&still)]
            .concat();
    let frame = [place, image].concat();
    let (canvas, times) = (canvas(0x02, 16, 16), [0; 6]);
    let animated = webp_of(&[(b"VP8X", &canvas), (b"ANIM", &times), (b"ANMF", &frame), (b"ANMF", &frame)]);
    is_refused(clean(animated.clone()).await, PictureFault::Animated, "an animated WebP");
    let both = media::clean_with_thumbnail(Owner::Service, animated.clone().into()).await;
    is_refused(both, PictureFault::Animated, "an animated WebP");
    assert!(
        media::thumbnail(Owner::Service, animated.into()).await.is_ok(),
        "a small copy shows the first frame"
    );
    let one = webp_of(&[(b"VP8X", &canvas), (b"ANIM", &times), (b"ANMF", &frame)]);
    assert_eq!(clean(one).await.expect("a picture").kind, PictureKind::Webp, "of one frame nothing is lost");

    let png = encoded(&sunset(16, 16), ImageFormat::Png);
    let animated = with_chunk(&png, "acTL", &[0, 0, 0, 2, 0, 0, 0, 0]);
    is_refused(clean(animated).await, PictureFault::Animated, "an animated PNG");
}

/// A PNG of 8 bits with a palette, which a decoder unfolds to three times the size and more.
fn indexed(side: u32, alpha: &[u8]) -> Vec<u8> {
    let mut random = fastrand::Rng::with_seed(7);
    let mut lines = Vec::new();
    for _ in 0..side {
        lines.push(0);
        lines.extend((0..side).map(|_| random.u8(..)));
    }
    let mut packed = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::none());
    std::io::Write::write_all(&mut packed, &lines).expect("memory");
    let palette: Vec<u8> = (0..768).map(|_| random.u8(..)).collect();
    let header = [&side.to_be_bytes()[..], &side.to_be_bytes(), &[8, 3, 0, 0, 0]].concat();
    let chunks = [
        chunk("IHDR", &header),
        chunk("PLTE", &palette),
        chunk("tRNS", alpha),
        chunk("IDAT", &packed.finish().expect("memory")),
        chunk("IEND", &[]),
    ];
    [&b"\x89PNG\r\n\x1a\n"[..], &chunks.concat()].concat()
}

#[tokio::test]
async fn what_is_no_picture_is_refused_whatever_it_is_called() {
    for bytes in [
        &b""[..],
        b"<html><script>alert(1)</script></html>",
        b"\x89PNG\r\n\x1a\n",
        b"\xff\xd8\xff\xe0",
        b"GIF89a",
        b"RIFF\x10\0\0\0WEBPVP8 ",
        b"BM\x3a\0\0\0\0\0\0\0\x36\0\0\0",
        b"<?xml version=\"1.0\"?><svg xmlns=\"http://www.w3.org/2000/svg\"/>",
        b"\0\0\0\x18ftypheic",
        b"\0\0\0\x10ftyp",
        b"\xff\xff\xff\xffftypheic",
    ] {
        is_invalid(clean(bytes).await, &String::from_utf8_lossy(bytes));
        is_invalid(media::recognise(bytes.into()), &String::from_utf8_lossy(bytes));
    }
    let heic = b"\0\0\0\x18ftypmif1\0\0\0\0mif1heicmore";
    is_refused(clean(&heic[..]).await, PictureFault::Heic, "HEIC");
    let avif = b"\0\0\0\x18ftypavif\0\0\0\0mif1avifmore";
    is_refused(clean(&avif[..]).await, PictureFault::Format, "AVIF");
    is_refused(clean(&b"<svg/>"[..]).await, PictureFault::Format, "a drawing");
    let error = clean(vec![0xFF; MAX_BYTES + 1]).await.expect_err("too large");
    assert_eq!(error.code(), Code::PayloadTooLarge);
}

#[tokio::test]
async fn what_a_camera_noted_is_gone_and_the_picture_stands_upright() {
    const PLACE: &str = "31.2304N 121.4737E";
    let mut jpeg = Vec::new();
    let mut encoder = JpegEncoder::new_with_quality(&mut jpeg, 95);
    // TIFF, little-endian: orientation 6 (a quarter turn to the right), and where it was taken as text.
    let mut exif = b"II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0".to_vec();
    exif.extend_from_slice(PLACE.as_bytes());
    encoder.set_exif_metadata(exif.clone()).expect("EXIF");
    // Left half red, right half blue: upright, red is above.
    let halves =
        image::RgbImage::from_fn(64, 32, |x, _| if x < 32 { Rgb([255, 0, 0]) } else { Rgb([0, 0, 255]) });
    DynamicImage::ImageRgb8(halves).write_with_encoder(encoder).expect("a JPEG");
    assert!(contains(&jpeg, PLACE));

    let both = media::clean_with_thumbnail(Owner::Service, jpeg.into()).await.expect("a picture");
    for picture in [&both.picture, &both.thumbnail] {
        let pixels = shown(picture);
        assert_eq!(pixels.dimensions(), (32, 64));
        assert!(pixels.get_pixel(16, 8)[0] > 200 && pixels.get_pixel(16, 56)[2] > 200);
        assert!(!contains(&picture.bytes, PLACE) && !contains(&picture.bytes, "Exif"));
        let mut decoder = ImageReader::with_format(Cursor::new(&picture.bytes), ImageFormat::Jpeg)
            .into_decoder()
            .expect("a JPEG");
        assert_eq!(decoder.orientation().expect("readable"), Orientation::NoTransforms);
    }

    let png = encoded(&sunset(8, 8), ImageFormat::Png);
    let png = with_chunk(&png, "tEXt", format!("Comment\0{PLACE}").as_bytes());
    let png = with_chunk(&png, "eXIf", &exif);
    assert!(!contains(&clean(png).await.expect("a picture").bytes, PLACE));

    let mut gif = frames(2, 8, 8);
    // A comment before the first frame.
    let at = gif.windows(2).position(|two| two == [0x21, 0xF9]).expect("a frame");
    let comment = [&[0x21, 0xFE, 18], PLACE.as_bytes(), &[0]].concat();
    gif.splice(at..at, comment);
    assert!(contains(&gif, PLACE));
    assert!(!contains(&clean(gif).await.expect("a picture").bytes, PLACE));
}

#[tokio::test]
async fn exif_turns_a_picture_wherever_its_format_puts_it() {
    // TIFF, big-endian: orientation 8 (a quarter turn to the left).
    let exif = b"MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x08\0\0\0\0\0\0";
    let headed = [&b"Exif\0\0"[..], exif].concat();
    let webp = encoded(&sunset(48, 16), ImageFormat::WebP);
    let (canvas, pixels) = (canvas(0x08, 48, 16), coded(&webp));
    let png = encoded(&sunset(48, 16), ImageFormat::Png);
    let (before_end, end) = png.split_at(png.len() - 12);
    for exif in [&exif[..], &headed] {
        for (what, bytes) in [
            ("WebP", webp_of(&[(b"VP8X", &canvas), (b"VP8L", pixels), (b"EXIF", exif)])),
            ("PNG", with_chunk(&png, "eXIf", exif)),
            ("PNG, after the pixels", [before_end, &chunk("eXIf", exif), end].concat()),
        ] {
            let anew = clean(bytes).await.expect(what);
            assert_eq!(shown(&anew).dimensions(), (16, 48), "{what}");
            assert!(!contains(&anew.bytes, "EXIF") && !contains(&anew.bytes, "eXIf"));
        }
    }
}

#[tokio::test]
async fn colours_keep_their_meaning() {
    let profile = |space: &[u8; 4], size: usize| {
        let mut profile = vec![0; size];
        profile[16..20].copy_from_slice(space);
        profile
    };
    let kept = async |picture: DynamicImage, profile: Vec<u8>| {
        let mut png = Vec::new();
        let mut encoder = PngEncoder::new(&mut png);
        encoder.set_icc_profile(profile).expect("a profile");
        picture.write_with_encoder(encoder).expect("a PNG");
        let both = media::clean_with_thumbnail(Owner::Service, png.into()).await.expect("a picture");
        let read = |picture: &Picture| {
            let format = picture.kind.mime();
            let format = ImageFormat::from_mime_type(format).expect("a format");
            let reader = ImageReader::with_format(Cursor::new(&picture.bytes), format);
            reader.into_decoder().expect("a picture").icc_profile().expect("readable")
        };
        assert_eq!(read(&both.picture), read(&both.thumbnail));
        read(&both.picture)
    };
    let wide = profile(b"RGB ", 548);
    assert_eq!(kept(sunset(8, 8), wide.clone()).await, Some(wide.clone()));
    assert_eq!(kept(sunset(8, 8), profile(b"CMYK", 548)).await, None);
    let (large, too_large) = (profile(b"RGB ", 300_001), profile(b"RGB ", 5_000_000));
    assert_eq!(kept(sunset(8, 8), large.clone()).await, Some(large.clone()));
    assert_eq!(kept(sunset(8, 8), too_large).await, None);
    let mut page = wide.clone();
    page[200..208].copy_from_slice(b"<script>");
    assert_eq!(kept(sunset(8, 8), page).await, None, "it would be stored as it came");
    for with_alpha in [false, true] {
        let (flags, pixels) = if with_alpha {
            (0x30, DynamicImage::ImageRgba8(image::RgbaImage::from_pixel(8, 8, image::Rgba([9, 9, 9, 99]))))
        } else {
            (0x20, sunset(8, 8))
        };
        let simple = encoded(&pixels, ImageFormat::WebP);
        let lossy = webp::Encoder::from_rgba(&pixels.to_rgba8(), 8, 8).encode(80.0).to_vec();
        // Of a lossy one with transparency libwebp writes the extended form already.
        let chunks = if with_alpha { lossy[30..].to_vec() } else { lossy[12..].to_vec() };
        let extended = [
            canvas(flags, 8, 8),
            b"ICCP".to_vec(),
            300_001_u32.to_le_bytes().to_vec(),
            large.clone(),
            vec![0],
            chunks,
        ];
        let lossy = webp_of(&[(b"VP8X", &canvas(flags, 8, 8))]);
        let body = [&lossy[8..], &extended[1..].concat()].concat();
        let lossy = [&b"RIFF"[..], &u32::try_from(body.len()).expect("short").to_le_bytes(), &body].concat();
        let lossless =
            webp_of(&[(b"VP8X", &canvas(flags, 8, 8)), (b"ICCP", &large), (b"VP8L", coded(&simple))]);
        for bytes in [lossy, lossless] {
            let anew = clean(bytes).await.expect("a picture");
            let reader = ImageReader::with_format(Cursor::new(&anew.bytes), ImageFormat::WebP);
            let mut decoder = reader.into_decoder().expect("a picture");
            assert!(decoder.icc_profile().expect("readable").is_some_and(|kept| kept == large));
            assert_eq!(shown(&anew).color().has_alpha(), with_alpha);
        }
    }
    let mut jpeg = Vec::new();
    let mut encoder = JpegEncoder::new_with_quality(&mut jpeg, 90);
    encoder.set_icc_profile(large.clone()).expect("a profile");
    sunset(8, 8).write_with_encoder(encoder).expect("a JPEG");
    let anew = clean(jpeg).await.expect("a picture");
    let reader = ImageReader::with_format(Cursor::new(&anew.bytes), ImageFormat::Jpeg);
    assert!(
        reader
            .into_decoder()
            .expect("a JPEG")
            .icc_profile()
            .expect("readable")
            .is_some_and(|kept| kept == large)
    );
    assert_eq!(kept(DynamicImage::ImageLuma8(sunset(8, 8).into_luma8()), wide).await, None);
}

#[tokio::test]
async fn a_thumbnail_has_at_most_512_pixels_and_the_same_shape() {
    for (width, height, expected) in
        [(800, 400, (512, 256)), (300, 900, (171, 512)), (100, 50, (100, 50)), (4000, 3, (512, 1))]
    {
        let bytes = encoded(&sunset(width, height), ImageFormat::Png);
        let small = media::thumbnail(Owner::Service, bytes.into()).await.expect("a picture");
        assert_eq!((small.kind, shown(&small).dimensions()), (PictureKind::Jpeg, expected));
    }
    for (_, bytes) in every_format(&sunset(600, 30)) {
        let small = media::thumbnail(Owner::Service, bytes.into()).await.expect("a picture");
        assert_eq!(shown(&small).dimensions(), (512, 26));
    }
}

#[tokio::test]
async fn an_animation_keeps_its_frames_their_times_and_their_pixels() {
    let bytes = frames(12, 20, 10);
    let both = media::clean_with_thumbnail(Owner::Service, bytes.clone().into()).await.expect("a picture");
    assert_eq!((both.picture.kind, both.thumbnail.kind), (PictureKind::Gif, PictureKind::Png));
    let read = |bytes: &[u8]| {
        let mut options = gif::DecodeOptions::new();
        options.set_color_output(gif::ColorOutput::RGBA);
        let mut decoder = options.read_info(Cursor::new(bytes.to_vec())).expect("a GIF");
        let mut all = Vec::new();
        while let Some(frame) = decoder.read_next_frame().expect("a frame") {
            all.push((frame.delay, frame.buffer.to_vec()));
        }
        (decoder.repeat(), all)
    };
    let (before, after) = (read(&bytes), read(&both.picture.bytes));
    assert_eq!((after.1.len(), after.1[0].0, after.0), (12, 7, gif::Repeat::Infinite));
    assert!(before == after, "the frames differ");
}

#[tokio::test]
async fn a_picture_of_forty_megapixels_is_taken_and_one_more_line_is_not() {
    let bytes = encoded(&DynamicImage::new_luma8(8000, 5000), ImageFormat::Png);
    assert!(media::recognise(bytes.clone().into()).is_ok());
    is_invalid(media::recognise(claiming(&bytes, 8000, 5001).into()), "a line more");
    // 24 MB of pixels are more than a decoder may take for itself.
    let large = encoded(&DynamicImage::new_rgba8(3000, 2000), ImageFormat::Png);
    assert!(clean(large).await.is_ok());
}

/// Refuses it soon and with little memory: what this process takes meanwhile, so nothing else may go on in it.
#[tokio::test]
async fn a_webp_whose_stated_size_ends_before_its_pixels_is_refused() {
    let mut bytes = encoded(&sunset(8, 8), ImageFormat::WebP);
    bytes[4..8].copy_from_slice(&10_u32.to_le_bytes());
    is_refused(media::recognise(bytes.clone().into()), PictureFault::Damaged, "recognised");
    is_refused(clean(bytes).await, PictureFault::Damaged, "written anew");
}

async fn is_refused_cheaply(bytes: Vec<u8>, what: &str) {
    let before = PEAK.current_usage();
    PEAK.reset_peak_usage();
    let began = Instant::now();
    is_invalid(clean(bytes).await, what);
    let (took, grew) = (began.elapsed(), PEAK.peak_usage().saturating_sub(before));
    assert!(took < SOON, "{what} took {took:?}");
    assert!(grew < LITTLE, "{what} took {grew} bytes");
}

#[tokio::test]
async fn a_pixel_bomb_is_refused_from_its_header_in_bounded_time_and_memory() {
    if !dream_testkit::alone("media::a_pixel_bomb_is_refused_from_its_header_in_bounded_time_and_memory") {
        return;
    }
    let small = sunset(16, 16);
    let png = encoded(&small, ImageFormat::Png);
    // 2.5 gigapixels, which would take 7.5 GB.
    is_refused_cheaply(claiming(&png, 50_000, 50_000), "a PNG bomb").await;
    is_refused_cheaply(claiming(&png, u32::MAX >> 1, 1), "a PNG of one line").await;
    is_refused_cheaply(claiming(&png, 0, 16), "a PNG of nothing").await;

    let mut jpeg = encoded(&small, ImageFormat::Jpeg);
    let frame = jpeg.windows(2).position(|two| two == [0xFF, 0xC0]).expect("a frame header");
    jpeg[frame + 5..frame + 9].copy_from_slice(&[0xFF; 4]);
    is_refused_cheaply(jpeg, "a JPEG of 65535 × 65535").await;

    let mut gif = frames(1, 16, 16);
    gif[6..10].copy_from_slice(&[0xFF; 4]);
    is_refused_cheaply(gif, "a GIF of 65535 × 65535").await;

    // VP8X with a canvas of 16384 × 16384, each side less one in 24 bits.
    let canvas = [&b"VP8X\x0a\0\0\0\x10\0\0\0"[..], &[0xFF, 0x3F, 0], &[0xFF, 0x3F, 0]].concat();
    let webp = encoded(&small, ImageFormat::WebP);
    let body = [&b"WEBP"[..], &canvas, &webp[12..]].concat();
    let length = u32::try_from(body.len()).expect("small");
    is_refused_cheaply([&b"RIFF"[..], &length.to_le_bytes(), &body].concat(), "a WebP bomb").await;

    // Of a profile of 100 MB in 100 kB no more is unpacked than a profile may have.
    let mut packed = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::fast());
    for _ in 0..100 {
        std::io::Write::write_all(&mut packed, &vec![0; 1_000_000]).expect("memory");
    }
    let profile = [&b"bomb\0\0"[..], &packed.finish().expect("memory")].concat();
    is_refused_cheaply(with_chunk(&claiming(&png, 50_000, 50_000), "iCCP", &profile), "a profile bomb").await;
}

#[tokio::test]
async fn a_gif_of_ten_thousand_frames_is_refused_from_their_headers_in_bounded_time_and_memory() {
    if !dream_testkit::alone(
        "media::a_gif_of_ten_thousand_frames_is_refused_from_their_headers_in_bounded_time_and_memory",
    ) {
        return;
    }
    is_refused_cheaply(frames(10_000, 4, 4), "10 000 frames").await;
    assert!(clean(frames(MAX_FRAMES, 4, 4)).await.is_ok());
    is_invalid(clean(frames(MAX_FRAMES + 1, 4, 4)).await, "one frame too many");
    // 200 frames of a megapixel each are too much together.
    is_refused_cheaply(frames(200, 1000, 1000), "200 megapixels of frames").await;
}

#[tokio::test]
async fn a_gif_frame_beyond_its_canvas_is_clipped() {
    let mut gif = frames(3, 16, 16);
    gif[6..10].copy_from_slice(&[5, 0, 4, 0]);
    let second = gif.windows(2).enumerate().filter(|(_, two)| two == &[0x2C, 0]).map(|(at, _)| at).nth(1);
    let second = second.expect("a second frame");
    // The second frame begins beyond the right edge.
    gif[second + 1..second + 3].copy_from_slice(&[9, 0]);
    let both = media::clean_with_thumbnail(Owner::Service, gif.into()).await.expect("a picture");
    assert_eq!(shown(&both.thumbnail).dimensions(), (5, 4));
    let mut options = gif::DecodeOptions::new();
    options.set_color_output(gif::ColorOutput::RGBA);
    options.check_frame_consistency(true);
    let mut decoder = options.read_info(Cursor::new(both.picture.bytes)).expect("a GIF");
    let mut seen = Vec::new();
    while let Some(frame) = decoder.read_next_frame().expect("a frame on its canvas") {
        seen.push((frame.width, frame.height, frame.delay, frame.buffer[3]));
    }
    assert_eq!(seen, [(5, 4, 7, 255), (1, 1, 7, 0), (5, 4, 7, 255)]);
}

#[tokio::test]
async fn a_jpeg_whose_scan_is_damaged_or_ends_early_is_refused_and_not_painted_grey() {
    let whole = [
        ("sequential", encoded(&sunset(96, 96), ImageFormat::Jpeg)),
        ("progressive", include_bytes!("pictures/progressive.jpg").to_vec()),
        ("with restarts", include_bytes!("pictures/restarts.jpg").to_vec()),
    ];
    for (name, bytes) in whole {
        assert_eq!(clean(bytes.clone()).await.expect(name).kind, PictureKind::Jpeg);
        let scan = bytes.windows(2).position(|two| two == [0xFF, 0xDA]).expect("a scan") + 14;
        let length = bytes.len() - scan - 2;
        for tenth in 1..10 {
            let at = scan + length * tenth / 10;
            let early = [&bytes[..at], &[0xFF, 0xD9]].concat();
            is_refused(clean(early).await, PictureFault::Damaged, &format!("{name} ends after {tenth}/10"));
        }
        let middle = scan + length / 3..scan + length / 2;
        let mut zeroed = bytes.clone();
        zeroed[middle.clone()].fill(0);
        is_refused(clean(zeroed).await, PictureFault::Damaged, &format!("{name}, a part zeroed"));
        let mut lacks = bytes.clone();
        lacks.drain(middle);
        is_refused(clean(lacks).await, PictureFault::Damaged, &format!("{name}, a part missing"));
    }
}

#[tokio::test]
async fn half_a_file_is_refused_and_not_filled_with_grey() {
    if !dream_testkit::alone("media::half_a_file_is_refused_and_not_filled_with_grey") {
        return;
    }
    let low = |n: u32| n.to_le_bytes()[0];
    let noise = image::RgbImage::from_fn(96, 96, |x, y| Rgb([low(x * 7 + y * 13), low(x * y), low(x ^ y)]));
    let files =
        every_format(&DynamicImage::ImageRgb8(noise)).into_iter().map(|(kind, bytes)| (kind.mime(), bytes));
    for (name, bytes) in files.chain([("an animation", frames(20, 30, 30))]) {
        assert!(clean(bytes.clone()).await.is_ok(), "{name}");
        for keep in [20, bytes.len() / 4, bytes.len() / 2, bytes.len() * 9 / 10, bytes.len() - 16] {
            is_refused_cheaply(bytes[..keep].to_vec(), &format!("{keep} bytes of {name}")).await;
        }
    }
}

#[tokio::test]
async fn pixels_are_never_searched_for_markup() {
    // Lines that are stored as they are: the file spells what its pixels spell.
    const LINES: [&str; 8] = [
        "%PDF-1.7",
        "<svg onload=alert(1)>",
        "<script>alert(1)</script>",
        "<!DOCTYPE html>",
        "<html>",
        "<body>",
        "<iframe>",
        "<?php system('id') ?>",
    ];
    let line = |y: u32| LINES[y as usize % LINES.len()].as_bytes();
    let shade = |x: u32, y: u32| line(y).get(x as usize).copied().unwrap_or(b' ');
    let pixels = image::GrayImage::from_fn(40, 32, |x, y| image::Luma([shade(x, y)]));
    let mut png = Vec::new();
    let stored = image::codecs::png::CompressionType::Uncompressed;
    let encoder = PngEncoder::new_with_quality(&mut png, stored, image::codecs::png::FilterType::NoFilter);
    DynamicImage::ImageLuma8(pixels.clone()).write_with_encoder(encoder).expect("a PNG");
    for line in LINES {
        assert!(contains(&png, line), "{line}");
    }
    assert!(media::recognise(png.clone().into()).is_ok());
    let anew = clean(png).await.expect("a picture");
    assert_eq!(shown(&anew).to_luma8(), pixels);

    // A megabyte of noise spells any three letters: as coded pixels it is nobody's markup.
    let noise = indexed(1200, &[255]);
    assert!(media::recognise(noise.into()).is_ok());
}

#[tokio::test]
async fn markup_in_metadata_or_after_the_end_is_removed_or_refused() {
    const MARKS: [&str; 6] = ["<script", "<?php", "<svg", "%PDF", "PK\x05\x06", "evil"];
    if !dream_testkit::alone("media::markup_in_metadata_or_after_the_end_is_removed_or_refused") {
        return;
    }
    let picture = sunset(32, 32);
    // An archive of nothing, with a comment.
    let zip = [&b"PK\x05\x06"[..], &[0; 16], &[4, 0], b"evil"].concat();
    let film = [&b"\0\0\0\x18ftypmp42"[..], &zip, b"\0<svg onload=alert(1)>"].concat();
    for (kind, bytes) in every_format(&picture) {
        let name = kind.mime();
        for (what, tail) in [
            ("a page", &b"<!DOCTYPE HTML><p>hello"[..]),
            ("a script", b"\n<ScRiPt>alert(1)</script>"),
            ("PHP", b"<?php system($_GET['c']); ?>"),
        ] {
            is_refused_cheaply([&bytes, tail].concat(), &format!("{name} and {what}")).await;
        }
        for tail in [&zip, &film] {
            let both = [bytes.as_slice(), tail].concat();
            let recognised = media::recognise(both.clone().into()).expect(name);
            assert_eq!(recognised.bytes, bytes, "what follows is cut off");
            let anew = clean(both).await.expect(name);
            assert!(!MARKS.iter().any(|mark| contains(&anew.bytes, mark)), "{name}");
        }
    }
    let png = encoded(&picture, ImageFormat::Png);
    let webp = encoded(&picture, ImageFormat::WebP);
    let gif = frames(2, 32, 32);
    let frame = gif.windows(2).position(|two| two == [0x21, 0xF9]).expect("a frame");
    for evil in
        ["<svg onload=alert(1)>", "<SCRIPT>evil</SCRIPT>", "<?php evil ?>", "%PDF-1.7 evil", "PK\x05\x06"]
    {
        let mut jpeg = Vec::new();
        let mut encoder = JpegEncoder::new_with_quality(&mut jpeg, 90);
        encoder.set_exif_metadata(evil.into()).expect("EXIF");
        picture.write_with_encoder(encoder).expect("a JPEG");
        let length = u8::try_from(evil.len()).expect("short");
        let comment = [&[0x21, 0xFE, length], evil.as_bytes(), &[0]].concat();
        for (what, bytes) in [
            ("a JPEG", jpeg),
            ("a text of a PNG", with_chunk(&png, "tEXt", evil.as_bytes())),
            ("an unknown chunk of a PNG", with_chunk(&png, "zzZz", evil.as_bytes())),
            (
                "a WebP",
                webp_of(&[
                    (b"VP8X", &canvas(0x04, 32, 32)),
                    (b"VP8L", coded(&webp)),
                    (b"XMP ", evil.as_bytes()),
                ]),
            ),
            ("a GIF", [&gif[..frame], &comment, &gif[frame..]].concat()),
        ] {
            assert!(contains(&bytes, evil), "{what}");
            is_invalid(media::recognise(bytes.clone().into()), &format!("{what} stored with {evil}"));
            let anew = clean(bytes).await.expect(what);
            assert!(!MARKS.iter().any(|mark| contains(&anew.bytes, mark)), "{what} with {evil}");
        }
    }
    // The classic: its first bytes are a GIF's and the beginning of a comment of a script.
    is_refused_cheaply(b"GIF89a/*\0\0\0\0*/=1;alert(document.domain);//".to_vec(), "a GIF and a script")
        .await;
}

#[tokio::test]
async fn what_a_phone_appends_is_left_behind() {
    let jpeg = encoded(&sunset(32, 32), ImageFormat::Jpeg);
    let film = [&jpeg, &b"\0\0\0\x18ftypmp42moving"[..]].concat();
    let anew = clean(film).await.expect("a picture");
    assert!(!contains(&anew.bytes, "moving"));
}

#[tokio::test(flavor = "multi_thread")]
async fn of_many_at_once_each_is_done_or_told_to_come_back() {
    // It takes every place that there is in a process.
    if !dream_testkit::alone("media::of_many_at_once_each_is_done_or_told_to_come_back") {
        return;
    }
    let bytes = bytes::Bytes::from(encoded(&sunset(400, 400), ImageFormat::Jpeg));
    let all = (0..200).map(|_| tokio::spawn(media::clean(Owner::Service, bytes.clone())));
    let mut done = 0;
    for one in all.collect::<Vec<_>>() {
        match one.await.expect("no panic") {
            Ok(_) => done += 1,
            Err(error) => assert_eq!(error.code(), Code::Unavailable),
        }
    }
    assert!(done >= 1);
    assert!(media::clean(Owner::Service, bytes).await.is_ok());
}
