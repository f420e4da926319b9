//! Where every random decision of a run comes from.
//!
//! A run reads all its choices from one [`Tape`]: first the bytes it was given, then either a
//! generator seeded with a number, or zeros. What was read is recorded, so that any run can be
//! written down, replayed and shrunk by editing bytes. Helpers map small bytes to small choices:
//! an all-zero tape is the calmest run there is, which is what shrinking steers towards.

use std::fmt::Write as _;

/// What a tape reads from beyond the bytes it was given.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Tail {
    /// A generator seeded with this number.
    Seed(u64),
    /// Zeros: the first alternative of every choice.
    Zeros,
}

/// The source of every choice of one run.
#[derive(Clone, Debug)]
pub struct Tape {
    given: Vec<u8>,
    tail: Generator,
    read: Vec<u8>,
}

/// Bytes after the given ones.
#[derive(Clone, Debug)]
enum Generator {
    Random(Xoshiro256),
    Zeros,
}

impl Tape {
    /// A tape that starts with `given` and goes on with `tail`.
    pub fn new(given: Vec<u8>, tail: Tail) -> Self {
        let tail = match tail {
            Tail::Seed(seed) => Generator::Random(Xoshiro256::from_seed(seed)),
            Tail::Zeros => Generator::Zeros,
        };
        Self { given, tail, read: Vec::new() }
    }

    /// The tape that a seed stands for.
    pub fn from_seed(seed: u64) -> Self {
        Self::new(Vec::new(), Tail::Seed(seed))
    }

    /// Reads one byte.
    pub fn byte(&mut self) -> u8 {
        let position = self.read.len();
        let byte = match (self.given.get(position), &mut self.tail) {
            (Some(&byte), _) => byte,
            (None, Generator::Random(random)) => random.byte(),
            (None, Generator::Zeros) => 0,
        };
        self.read.push(byte);
        byte
    }

    /// Chooses a number of `low..=high`; small bytes choose small numbers.
    ///
    /// # Panics
    /// If the range is empty.
    pub fn range(&mut self, low: u64, high: u64) -> u64 {
        assert!(low <= high, "a choice needs at least one alternative");
        let span = u128::from(high - low) + 1;
        let bytes = match span {
            1 => return low,
            2..=16 => 1,
            17..=4096 => 2,
            4097..=0x1_0000_0000 => 5,
            _ => 8,
        };
        let drawn = (0..bytes).fold(0_u128, |sum, _| sum << 8 | u128::from(self.byte()));
        let chosen = (drawn * span) >> (8 * bytes);
        low + u64::try_from(chosen).expect("below the span, which fits")
    }

    /// Chooses an index below `count`.
    ///
    /// # Panics
    /// If `count` is zero.
    pub fn index(&mut self, count: usize) -> usize {
        assert!(count > 0, "a choice needs at least one alternative");
        usize::try_from(self.range(0, count as u64 - 1)).expect("below a usize")
    }

    /// Chooses a magnitude of `low..=high` so that each doubling is equally likely.
    ///
    /// # Panics
    /// If the range is empty.
    pub fn magnitude(&mut self, low: u64, high: u64) -> u64 {
        assert!(low <= high, "a choice needs at least one alternative");
        let (low_bits, high_bits) = (bits(low), bits(high));
        let chosen = u32::try_from(self.range(low_bits.into(), high_bits.into())).unwrap_or(64);
        let floor = if chosen == 0 { 0 } else { 1 << (chosen - 1) };
        let ceiling = if chosen == 0 { 0 } else { floor + (floor - 1) };
        self.range(low.max(floor), high.min(ceiling))
    }

    /// True in `permille` of 1000 cases; a zero byte says no.
    pub fn chance(&mut self, permille: u64) -> bool {
        permille > 0 && self.range(0, 999) >= 1000 - permille.min(1000)
    }

    /// Chooses one of the items.
    ///
    /// # Panics
    /// If there are none.
    pub fn pick<'a, T>(&mut self, items: &'a [T]) -> &'a T {
        &items[self.index(items.len())]
    }

    /// Chooses an index with the likelihood of its weight.
    ///
    /// # Panics
    /// If all weights are zero.
    pub fn weighted(&mut self, weights: &[u32]) -> usize {
        let total: u64 = weights.iter().copied().map(u64::from).sum();
        assert!(total > 0, "a choice needs at least one alternative");
        let mut drawn = self.range(0, total - 1);
        for (index, &weight) in weights.iter().enumerate() {
            match drawn.checked_sub(weight.into()) {
                None => return index,
                Some(rest) => drawn = rest,
            }
        }
        unreachable!("the draw is below the sum of the weights")
    }

    /// Brings the items into a random order; zeros keep them as they are.
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for index in 0..items.len() {
            let other = index + self.index(items.len() - index);
            items.swap(index, other);
        }
    }

    /// A number for seeding something that draws for itself.
    pub fn seed(&mut self) -> u64 {
        self.range(0, u64::MAX)
    }

    /// Everything read so far: a tape that makes the same run again.
    pub fn recorded(&self) -> &[u8] {
        &self.read
    }
}

/// A run on paper: what the files in `regressions/` hold.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Script {
    /// Lines for readers: what was wrong.
    pub prose: Vec<String>,
    /// The mutant that the run needs in order to fail, if it was made with one.
    pub mutant: Option<u32>,
    /// The bytes given.
    pub bytes: Vec<u8>,
    /// What follows them.
    pub tail: Tail,
}

/// Why a text is no [`Script`].
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct InvalidScript {
    /// The first line that could not be read, counted from 1.
    pub line: usize,
}

impl std::fmt::Display for InvalidScript {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "line {} of the tape is neither prose, `tail`, `mutant` nor bytes", self.line)
    }
}

impl std::error::Error for InvalidScript {}

impl Script {
    /// The tape it describes.
    pub fn tape(&self) -> Tape {
        Tape::new(self.bytes.clone(), self.tail)
    }

    /// Reads the text of a tape file: lines of `#` prose, `tail zeros` or `tail seed N`,
    /// `mutant N`, and bytes in hexadecimal.
    ///
    /// # Errors
    /// Names the first line that is none of these.
    pub fn parse(text: &str) -> Result<Self, InvalidScript> {
        let mut script =
            Self { prose: Vec::new(), mutant: None, bytes: Vec::new(), tail: Tail::Zeros };
        for (index, line) in text.lines().enumerate() {
            let line = line.trim();
            let invalid = InvalidScript { line: index + 1 };
            if let Some(prose) = line.strip_prefix('#') {
                script.prose.push(prose.trim().to_owned());
            } else if let Some(seed) = line.strip_prefix("tail seed ") {
                script.tail = Tail::Seed(seed.parse().map_err(|_| invalid)?);
            } else if line == "tail zeros" {
                script.tail = Tail::Zeros;
            } else if let Some(number) = line.strip_prefix("mutant ") {
                script.mutant = Some(number.parse().map_err(|_| invalid)?);
            } else {
                script.bytes.extend(parse_hex(line).ok_or(invalid)?);
            }
        }
        Ok(script)
    }

    /// The text that [`Script::parse`] reads.
    pub fn text(&self) -> String {
        let mut text = String::new();
        for line in &self.prose {
            text.push_str("# ");
            text.push_str(line);
            text.push('\n');
        }
        if let Some(mutant) = self.mutant {
            text.push_str(&format!("mutant {mutant}\n"));
        }
        match self.tail {
            Tail::Zeros => text.push_str("tail zeros\n"),
            Tail::Seed(seed) => text.push_str(&format!("tail seed {seed}\n")),
        }
        for row in self.bytes.chunks(40) {
            for byte in row {
                // Writing to a text can not fail.
                write!(text, "{byte:02x}").unwrap_or_default();
            }
            text.push('\n');
        }
        text
    }
}

/// The generator behind a seed: xoshiro256** with its state filled by splitmix64.
#[derive(Clone, Debug)]
struct Xoshiro256 {
    state: [u64; 4],
    left: u64,
    left_bytes: u32,
}

impl Xoshiro256 {
    fn from_seed(seed: u64) -> Self {
        let mut sequence = seed;
        let mut split_mix = || {
            sequence = sequence.wrapping_add(0x9E37_79B9_7F4A_7C15);
            let mut mixed = sequence;
            mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
            mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
            mixed ^ (mixed >> 31)
        };
        Self { state: std::array::from_fn(|_| split_mix()), left: 0, left_bytes: 0 }
    }

    fn word(&mut self) -> u64 {
        let [a, b, c, d] = &mut self.state;
        let result = b.wrapping_mul(5).rotate_left(7).wrapping_mul(9);
        let shifted = *b << 17;
        *c ^= *a;
        *d ^= *b;
        *b ^= *c;
        *a ^= *d;
        *c ^= shifted;
        *d = d.rotate_left(45);
        result
    }

    fn byte(&mut self) -> u8 {
        if self.left_bytes == 0 {
            self.left = self.word();
            self.left_bytes = 8;
        }
        let byte = self.left.to_be_bytes()[0];
        self.left <<= 8;
        self.left_bytes -= 1;
        byte
    }
}

fn bits(number: u64) -> u32 {
    u64::BITS - number.leading_zeros()
}

fn parse_hex(line: &str) -> Option<Vec<u8>> {
    if !line.is_ascii() || !line.len().is_multiple_of(2) {
        return None;
    }
    (0..line.len()).step_by(2).map(|at| u8::from_str_radix(&line[at..at + 2], 16).ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn generator_matches_its_reference_sequence() {
        let mut random = Xoshiro256 { state: [1, 2, 3, 4], left: 0, left_bytes: 0 };
        let words: Vec<u64> = (0..4).map(|_| random.word()).collect();
        assert_eq!(words, [11520, 0, 1_509_978_240, 1_215_971_899_390_074_240]);
    }

    #[test]
    fn recorded_bytes_make_the_same_choices_again() {
        let choices = |tape: &mut Tape| {
            (
                tape.range(3, 900),
                tape.magnitude(1, 1 << 40),
                tape.chance(500),
                tape.weighted(&[1, 0, 7]),
                tape.seed(),
            )
        };
        for seed in 0..200 {
            let mut first = Tape::from_seed(seed);
            let chosen = choices(&mut first);
            let mut again = Tape::new(first.recorded().to_vec(), Tail::Zeros);
            assert_eq!(choices(&mut again), chosen);
            assert_eq!(again.recorded(), first.recorded());
        }
    }

    #[test]
    fn zeros_choose_the_first_alternative() {
        let mut tape = Tape::new(Vec::new(), Tail::Zeros);
        assert_eq!(tape.range(5, 1_000_000), 5);
        assert_eq!(tape.magnitude(2, 1 << 50), 2);
        assert!(!tape.chance(999));
        assert_eq!(tape.weighted(&[1, 5]), 0);
        let mut items = [1, 2, 3, 4];
        tape.shuffle(&mut items);
        assert_eq!(items, [1, 2, 3, 4]);
    }

    #[test]
    fn choices_reach_both_ends_and_stay_inside() {
        let mut tape = Tape::from_seed(7);
        for (low, high) in [(0, 1), (3, 20), (1, 300), (0, 70_000)] {
            let drawn: Vec<u64> = (0..200_000).map(|_| tape.range(low, high)).collect();
            assert_eq!(drawn.iter().min(), Some(&low));
            assert!(drawn.iter().max() <= Some(&high));
            if high - low < 1000 {
                assert_eq!(drawn.iter().max(), Some(&high));
            }
        }
        let magnitudes: Vec<u64> = (0..1000).map(|_| tape.magnitude(4, 1000)).collect();
        assert!(magnitudes.iter().all(|magnitude| (4..=1000).contains(magnitude)));
        assert!(magnitudes.iter().filter(|&&magnitude| magnitude < 16).count() > 100);
    }

    #[test]
    fn chances_are_about_right() {
        let mut tape = Tape::from_seed(1);
        let hits = (0..100_000).filter(|_| tape.chance(100)).count();
        assert!((9_000..11_000).contains(&hits), "{hits}");
        assert!((0..1000).all(|_| tape.chance(1000)));
        assert!(!(0..1000).any(|_| tape.chance(0)));
    }

    #[test]
    fn scripts_survive_their_text() {
        let script = Script {
            prose: vec!["The reply left before the sync.".to_owned()],
            mutant: Some(35),
            bytes: (0..=99).collect(),
            tail: Tail::Seed(42),
        };
        assert_eq!(Script::parse(&script.text()), Ok(script));
        assert_eq!(Script::parse("tail zeros\nxyz"), Err(InvalidScript { line: 2 }));
    }
}
