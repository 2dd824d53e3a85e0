//! Icons for desktops whose theme has none: a shield, whose filling tells the state also to who sees no colours.

use super::view::Look;

/// Width, height, and ARGB of 8 bits each, line by line from above.
pub(super) type Pixmap = (i32, i32, Vec<u8>);

/// Widths, pixels: panels of 1x and 2x.
const SIZES: [u8; 2] = [22, 44];
/// Points in a pixel, each way.
const POINTS: u8 = 4;
/// How thick the rim is, of the shield's half width.
const RIM: f32 = 0.16;

/// The icon in each size.
pub(super) fn pixmaps(look: Look) -> Vec<Pixmap> {
    SIZES.iter().map(|size| (i32::from(*size), i32::from(*size), draw(look, *size))).collect()
}

fn draw(look: Look, size: u8) -> Vec<u8> {
    let [red, green, blue] = match look {
        Look::Idle => [0x8a, 0x8f, 0x98],
        Look::Working => [0xd9, 0x8a, 0x0b],
        Look::Good => [0x2e, 0x9e, 0x5b],
        Look::Bad => [0xd6, 0x3a, 0x3a],
    };
    let steps = u16::from(size) * u16::from(POINTS);
    // From -1 to 1.
    let place = |step: u16| (f32::from(step) + 0.5) / f32::from(steps) * 2.0 - 1.0;
    let mut octets = Vec::with_capacity(usize::from(size) * usize::from(size) * 4);
    for row in 0..u16::from(size) {
        for column in 0..u16::from(size) {
            let points = (0..u16::from(POINTS)).flat_map(|y| (0..u16::from(POINTS)).map(move |x| (x, y)));
            let inked = points.filter(|(x, y)| {
                let points = u16::from(POINTS);
                is_inked(look, place(column * points + x), place(row * points + y))
            });
            let most = u16::from(POINTS) * u16::from(POINTS);
            let share = u16::try_from(inked.count()).unwrap_or(most);
            let alpha = u8::try_from(share * 255 / most).unwrap_or(u8::MAX);
            octets.extend([alpha, red, green, blue]);
        }
    }
    octets
}

/// How far the shield reaches to either side at this height, 0 where there is none.
fn half_width(y: f32) -> f32 {
    match y {
        y if !(-0.9..=0.95).contains(&y) => 0.0,
        y if y < 0.05 => 0.78,
        y => 0.78 * (1.0 - ((y - 0.05) / 0.9).powi(2)).max(0.0).sqrt(),
    }
}

fn is_inked(look: Look, x: f32, y: f32) -> bool {
    if x.abs() > half_width(y) {
        return false;
    }
    // The same shield, smaller.
    let scale = 1.0 - RIM * 1.4;
    let rim = x.abs() > half_width(y / scale) * scale;
    match look {
        Look::Idle => rim,
        Look::Working => rim || x < 0.0,
        Look::Good => true,
        Look::Bad => !(x.abs() < 0.12 && ((-0.6..0.1).contains(&y) || (0.25..0.5).contains(&y))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_state_has_a_picture_of_its_own() {
        let all = [Look::Idle, Look::Working, Look::Good, Look::Bad].map(pixmaps);
        for (number, pixmaps) in all.iter().enumerate() {
            for (width, height, octets) in pixmaps {
                assert_eq!(usize::try_from(width * height * 4).unwrap(), octets.len());
                let alphas: Vec<u8> = octets.chunks(4).map(|pixel| pixel[0]).collect();
                assert_eq!((alphas[0], alphas[alphas.len() - 1]), (0, 0), "the corners are free");
                assert!(alphas.contains(&255));
            }
            // Without its colour, too.
            let ink = |pixmaps: &[Pixmap]| -> usize {
                pixmaps[1].2.chunks(4).filter(|pixel| pixel[0] > 127).count()
            };
            for other in &all[..number] {
                assert!(ink(other).abs_diff(ink(pixmaps)) > 44, "{} {}", ink(other), ink(pixmaps));
            }
        }
    }
}
