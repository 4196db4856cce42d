//! Pictures that are cheap to make, pleasant to look at, and always the same for the same prompt.

use aws_lc_rs::digest;
use image::codecs::png::{CompressionType, FilterType, PngEncoder};
use image::{ExtendedColorType, ImageEncoder, ImageResult};

/// A PNG of this size: a slope between two colours with a light in it.
pub(super) fn render(prompt: &str, index: u32, (width, height): (u32, u32)) -> ImageResult<Vec<u8>> {
    let hash = digest::digest(&digest::SHA256, format!("{index}/{prompt}").as_bytes());
    let seed = hash.as_ref();
    let colour = |from: usize| [0, 1, 2].map(|part| u64::from(seed[from + part]));
    let (low, high, light) = (colour(0), colour(3), colour(6));
    let (w, h) = (u64::from(width.max(2)), u64::from(height.max(2)));
    let (sun_x, sun_y) = (u64::from(seed[9]) * w / 255, u64::from(seed[10]) * h / 255);
    let reach = w.max(h).pow(2) / 6;
    let mut pixels = Vec::with_capacity(usize::try_from(w * h * 3).unwrap_or(0));
    for y in 0..h {
        for x in 0..w {
            let slope = (x * 255 / (w - 1) + 2 * y * 255 / (h - 1)) / 3;
            let far = x.abs_diff(sun_x).pow(2) + y.abs_diff(sun_y).pow(2);
            let glow = 255_u64.saturating_sub(far * 255 / reach.max(1));
            for part in 0..3 {
                let ground = (low[part] * (255 - slope) + high[part] * slope) / 255;
                let value = (ground * (255 - glow) + light[part] * glow) / 255;
                pixels.push(u8::try_from(value).unwrap_or(u8::MAX));
            }
        }
    }
    let mut png = Vec::new();
    let (w, h) = (width.max(2), height.max(2));
    PngEncoder::new_with_quality(&mut png, CompressionType::Fast, FilterType::Up).write_image(
        &pixels,
        w,
        h,
        ExtendedColorType::Rgb8,
    )?;
    Ok(png)
}
