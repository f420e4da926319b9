//! Which request comes next, and of which znode.

use crate::template::Template;

/// Chooses requests.
#[derive(Clone, Debug)]
pub(crate) struct Mix {
    templates: Vec<Template>,
    choice: Choice,
    random: Random,
}

/// How a [`Mix`] chooses.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Choice {
    /// The one request there is, of random znodes.
    Random {
        /// Znodes to choose from.
        keys: u32,
    },
    /// Mostly the first request, sometimes the second, of random znodes.
    Ratio {
        /// Znodes to choose from.
        keys: u32,
        /// How often the first comes for each second.
        first_per_second: u32,
    },
    /// The one request there is, of each znode in turn.
    InTurn(Numbers),
    /// The first request for a fresh znode, then the second for the same, on each connection.
    Pairs(Numbers),
}

/// Numbers at equal distances.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Numbers {
    next: u32,
    stride: u32,
}

impl Numbers {
    /// `first`, and each number `stride` further.
    pub(crate) const fn new(first: u32, stride: u32) -> Self {
        Self { next: first, stride }
    }

    fn draw(&mut self) -> u32 {
        let number = self.next;
        self.next = self.next.wrapping_add(self.stride);
        number
    }
}

impl Mix {
    /// A mix of these requests; `choice` says how many there have to be.
    pub(crate) fn new(templates: Vec<Template>, choice: Choice, seed: u64) -> Self {
        Self { templates, choice, random: Random(seed) }
    }

    /// Appends the next request and returns its place among the templates. `half_done` is the
    /// connection's znode that waits for its second request.
    pub(crate) fn stamp(&mut self, out: &mut Vec<u8>, xid: i32, half_done: &mut Option<u32>) -> u8 {
        let Self { templates, choice, random } = self;
        match choice {
            Choice::Random { keys } => {
                templates[0].stamp(out, xid, || random.below(*keys));
                0
            }
            Choice::Ratio { keys, first_per_second } => {
                let template = u8::from(random.below(first_per_second.saturating_add(1)) == 0);
                templates[usize::from(template)].stamp(out, xid, || random.below(*keys));
                template
            }
            Choice::InTurn(numbers) => {
                templates[0].stamp(out, xid, || numbers.draw());
                0
            }
            Choice::Pairs(numbers) => match half_done.take() {
                Some(number) => {
                    templates[1].stamp(out, xid, || number);
                    1
                }
                None => {
                    let number = numbers.draw();
                    *half_done = Some(number);
                    templates[0].stamp(out, xid, || number);
                    0
                }
            },
        }
    }

    /// The first number that was not drawn; 0 where znodes are chosen at random.
    pub(crate) const fn next_number(&self) -> u32 {
        match self.choice {
            Choice::Random { .. } | Choice::Ratio { .. } => 0,
            Choice::InTurn(numbers) | Choice::Pairs(numbers) => numbers.next,
        }
    }

    /// The requests to choose from.
    pub(crate) fn templates(&self) -> &[Template] {
        &self.templates
    }
}

/// SplitMix64: a few instructions for each number, and good enough to choose znodes.
#[derive(Clone, Debug)]
struct Random(u64);

impl Random {
    /// A number below `bound`; 0 if that is 0.
    fn below(&mut self, bound: u32) -> u32 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut word = self.0;
        word = (word ^ (word >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        word ^= word >> 31;
        // The upper half of a product is even over the range without a division.
        let scaled = (word >> 32) * u64::from(bound);
        u32::try_from(scaled >> 32).expect("a 32-bit fraction of a 32-bit bound")
    }
}

#[cfg(test)]
mod tests {
    use types::{Op, Read};
    use wire::request::Request;

    use super::*;

    fn template(name: &'static str, path: &'static str) -> Template {
        Template::new(name, Op::Read(Read::GetData { path: path.into(), watch: false }), 0)
    }

    /// The paths of the next requests on one connection.
    fn paths(mix: &mut Mix, half_done: &mut Option<u32>, count: usize) -> Vec<String> {
        (0..count)
            .map(|_| {
                let mut out = Vec::new();
                mix.stamp(&mut out, 1, half_done);
                match Request::decode(&out[4..]).unwrap().op {
                    Op::Read(Read::GetData { path, .. }) => path.into_owned(),
                    other => panic!("{other:?}"),
                }
            })
            .collect()
    }

    #[test]
    fn random_choice_is_even_and_repeats_with_its_seed() {
        let mix =
            |seed| Mix::new(vec![template("get", "/########")], Choice::Random { keys: 4 }, seed);
        let chosen = paths(&mut mix(7), &mut None, 4000);
        assert_eq!(chosen, paths(&mut mix(7), &mut None, 4000));
        assert_ne!(chosen, paths(&mut mix(8), &mut None, 4000));
        for key in 0..4 {
            let count = chosen.iter().filter(|&path| *path == format!("/{key:08}")).count();
            assert!((900..1100).contains(&count), "{count} of 4000 for key {key}");
        }
    }

    #[test]
    fn ratio_is_kept() {
        let templates = vec![template("get", "/get"), template("set", "/set")];
        let choice = Choice::Ratio { keys: 1, first_per_second: 10 };
        let chosen = paths(&mut Mix::new(templates, choice, 1), &mut None, 11_000);
        let sets = chosen.iter().filter(|&path| path == "/set").count();
        assert!((900..1100).contains(&sets), "{sets} of 11000");
    }

    #[test]
    fn takes_znodes_in_turn() {
        let templates = vec![template("create", "/########")];
        let mut mix = Mix::new(templates, Choice::InTurn(Numbers::new(1, 2)), 1);
        assert_eq!(paths(&mut mix, &mut None, 3), ["/00000001", "/00000003", "/00000005"]);
    }

    #[test]
    fn pairs_belong_to_one_connection() {
        let templates = vec![template("create", "/c########"), template("delete", "/d########")];
        let mut mix = Mix::new(templates, Choice::Pairs(Numbers::new(0, 1)), 1);
        let (mut one, mut other) = (None, None);
        assert_eq!(paths(&mut mix, &mut one, 1), ["/c00000000"]);
        assert_eq!(paths(&mut mix, &mut other, 1), ["/c00000001"]);
        assert_eq!(paths(&mut mix, &mut one, 2), ["/d00000000", "/c00000002"]);
        assert_eq!(paths(&mut mix, &mut other, 1), ["/d00000001"]);
    }
}
