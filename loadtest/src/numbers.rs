//! A million telephone numbers of nobody: 100 area codes, the exchange 555, 10,000 lines each.

/// How many there are; beyond that they repeat.
pub const ALL: u64 = 1_000_000;

const AREAS: [u16; 100] = [
    201, 202, 203, 205, 206, 207, 208, 209, 210, 212, 213, 214, 215, 216, 217, 218, 219, 224, 225, 228, 229, 231, 234,
    239, 240, 248, 251, 252, 253, 254, 256, 260, 262, 267, 269, 270, 276, 281, 301, 302, 303, 304, 305, 307, 308, 309,
    310, 312, 313, 314, 315, 316, 317, 318, 319, 320, 321, 323, 325, 330, 334, 336, 337, 347, 351, 352, 360, 361, 385,
    386, 401, 402, 404, 405, 406, 407, 408, 409, 410, 412, 413, 414, 415, 417, 419, 423, 424, 425, 430, 432, 434, 435,
    440, 443, 469, 470, 475, 478, 479, 480,
];

/// The digits of a number, country code first, without the plus: `12015550000`.
pub fn digits(index: u64) -> String {
    let areas = AREAS.len() as u64;
    let area = AREAS.get((index % areas) as usize).copied().unwrap_or_default();
    format!("1{area}555{:04}", index / areas % 10_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_number_comes_twice() {
        let all: std::collections::HashSet<String> = (0..ALL).map(digits).collect();
        assert_eq!(all.len() as u64, ALL);
        assert_eq!(digits(ALL), digits(0));
    }
}
