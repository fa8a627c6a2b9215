//! The adaptive differential coder of one band (G.722 section 6.2, whose names are in capitals).

use core::marker::PhantomData;

/// What differs between the two bands.
pub(super) trait Quantiser {
    /// The scale factor after a reset, DETL and DETH.
    const INITIAL_STEP: i32;
    /// The largest logarithmic scale factor.
    const LOG_STEP_MAX: i32;
    /// How far the table of the logarithm is shifted, which sets the smallest scale factor.
    const STEP_SHIFT: i32;

    /// The code of a difference, QUANTL and QUANTH.
    fn code(difference: i32, step: i32) -> u8;
    /// What a code stands for as the listener gets it, INVQBL and INVQAH, in parts of 2^15 of the scale factor.
    fn output(code: u8) -> i32;
    /// What a code stands for as the predictor gets it, INVQAL and INVQAH, in such parts.
    fn feedback(code: u8) -> i32;
    /// What a code adds to the logarithmic scale factor, LOGSCL and LOGSCH.
    fn log_growth(code: u8) -> i32;
}

/// The lower band: six bits, of which the predictor gets four.
#[derive(Clone, Debug, Default)]
pub(super) struct Low;

/// Q6: the decision values of QUANTL in parts of 2^12 of the scale factor.
const LOW_DECISIONS: [i32; 29] = [
    35, 72, 110, 150, 190, 233, 276, 323, 370, 422, 473, 530, 587, 650, 714, 786, 858, 940, 1023, 1121, 1219, 1339,
    1458, 1612, 1765, 1980, 2195, 2557, 2919,
];
/// QM6.
const LOW_OUTPUTS: [i32; 64] = [
    -136, -136, -136, -136, -24808, -21904, -19008, -16704, -14984, -13512, -12280, -11192, -10232, -9360, -8576,
    -7856, -7192, -6576, -6000, -5456, -4944, -4464, -4008, -3576, -3168, -2776, -2400, -2032, -1688, -1360, -1040,
    -728, 24808, 21904, 19008, 16704, 14984, 13512, 12280, 11192, 10232, 9360, 8576, 7856, 7192, 6576, 6000, 5456,
    4944, 4464, 4008, 3576, 3168, 2776, 2400, 2032, 1688, 1360, 1040, 728, 432, 136, -432, -136,
];
/// QM4.
const LOW_FEEDBACKS: [i32; 16] =
    [0, -20456, -12896, -8968, -6288, -4240, -2584, -1200, 20456, 12896, 8968, 6288, 4240, 2584, 1200, 0];
/// WL by RL42.
const LOW_LOG_GROWTH: [i32; 16] = [-60, 3042, 1198, 538, 334, 172, 58, -30, 3042, 1198, 538, 334, 172, 58, -30, -60];

impl Quantiser for Low {
    const INITIAL_STEP: i32 = 32;
    const LOG_STEP_MAX: i32 = 18_432;
    const STEP_SHIFT: i32 = 8;

    fn code(difference: i32, step: i32) -> u8 {
        let magnitude = magnitude(difference);
        let interval = LOW_DECISIONS.partition_point(|decision| (decision * step) >> 12 <= magnitude) as u8;
        match (difference < 0, interval) {
            (false, _) => 61 - interval,
            // The two smallest negative ones have the codes above all others, so that 0 to 3 are never sent: a line
            // that has only six of the bits must not see zeros alone.
            (true, 0..=1) => 63 - interval,
            (true, _) => 33 - interval,
        }
    }

    fn output(code: u8) -> i32 {
        LOW_OUTPUTS[usize::from(code & 0x3F)]
    }

    fn feedback(code: u8) -> i32 {
        LOW_FEEDBACKS[usize::from(code >> 2 & 0x0F)]
    }

    fn log_growth(code: u8) -> i32 {
        LOW_LOG_GROWTH[usize::from(code >> 2 & 0x0F)]
    }
}

/// The higher band: two bits, a sign and one of two magnitudes.
#[derive(Clone, Debug, Default)]
pub(super) struct High;

/// QM2.
const HIGH_OUTPUTS: [i32; 4] = [-7408, -1616, 7408, 1616];
/// WH by RH2.
const HIGH_LOG_GROWTH: [i32; 4] = [798, -214, 798, -214];

impl Quantiser for High {
    const INITIAL_STEP: i32 = 8;
    const LOG_STEP_MAX: i32 = 22_528;
    const STEP_SHIFT: i32 = 10;

    fn code(difference: i32, step: i32) -> u8 {
        let small = u8::from(magnitude(difference) < (564 * step) >> 12);
        small | if difference < 0 { 0 } else { 2 }
    }

    fn output(code: u8) -> i32 {
        HIGH_OUTPUTS[usize::from(code & 3)]
    }

    fn feedback(code: u8) -> i32 {
        Self::output(code)
    }

    fn log_growth(code: u8) -> i32 {
        HIGH_LOG_GROWTH[usize::from(code & 3)]
    }
}

/// The antilogarithm of the scale factor's fraction, ILB.
const ANTILOG: [i32; 32] = [
    2048, 2093, 2139, 2186, 2233, 2282, 2332, 2383, 2435, 2489, 2543, 2599, 2656, 2714, 2774, 2834, 2896, 2960, 3025,
    3091, 3158, 3228, 3298, 3371, 3444, 3520, 3597, 3676, 3756, 3838, 3922, 4008,
];

/// One band's state, the same at both ends of the line.
#[derive(Clone, Debug)]
pub(super) struct Band<Q> {
    /// Scale factor, linear (DETL, DETH) and logarithmic (NBL, NBH).
    step: i32,
    log_step: i32,
    predictor: Predictor,
    quantiser: PhantomData<Q>,
}

impl<Q: Quantiser> Default for Band<Q> {
    fn default() -> Self {
        Self { step: Q::INITIAL_STEP, log_step: 0, predictor: Predictor::default(), quantiser: PhantomData }
    }
}

impl<Q: Quantiser> Band<Q> {
    pub(super) fn encode(&mut self, sample: i32) -> u8 {
        let code = Q::code(saturate(sample - self.predictor.expected), self.step);
        self.adapt(code);
        code
    }

    pub(super) fn decode(&mut self, code: u8) -> i32 {
        let difference = (self.step * Q::output(code)) >> 15;
        // LIMIT: the bands are of 15 bits.
        let sample = (self.predictor.expected + difference).clamp(-16_384, 16_383);
        self.adapt(code);
        sample
    }

    fn adapt(&mut self, code: u8) {
        let difference = (self.step * Q::feedback(code)) >> 15;
        self.log_step = (((self.log_step * 127) >> 7) + Q::log_growth(code)).clamp(0, Q::LOG_STEP_MAX);
        let antilog = ANTILOG[(self.log_step >> 6 & 31) as usize];
        let shift = Q::STEP_SHIFT - (self.log_step >> 11);
        self.step = (if shift < 0 { antilog << -shift } else { antilog >> shift }) << 2;
        self.predictor.adapt(difference);
    }
}

/// BLOCK4: two poles, which follow what was reconstructed, and six zeros, which follow the differences.
#[derive(Clone, Debug, Default)]
struct Predictor {
    /// What the next sample should be, SL and SH.
    expected: i32,
    /// The zeros' part of it, SZ.
    from_zeros: i32,
    /// The last two reconstructed samples, RLT, newest first.
    reconstructed: [i32; 2],
    /// The last two partly reconstructed ones, PLT.
    partial: [i32; 2],
    /// Coefficients of the poles, AL, and of the zeros, BL.
    poles: [i32; 2],
    zeros: [i32; 6],
    /// The last six differences, DLT.
    differences: [i32; 6],
}

impl Predictor {
    fn adapt(&mut self, difference: i32) {
        let reconstructed = saturate(self.expected + difference);
        let partial = saturate(self.from_zeros + difference);
        self.adapt_poles(partial);
        self.adapt_zeros(difference);
        self.reconstructed = [reconstructed, self.reconstructed[0]];
        self.partial = [partial, self.partial[0]];
        self.differences.copy_within(..5, 1);
        self.differences[0] = difference;
        // FILTEP, FILTEZ and PREDIC.
        let product = |weight: i32, x: i32| (weight * saturate(2 * x)) >> 15;
        let from_poles: i32 = self.poles.iter().zip(self.reconstructed).map(|(&weight, x)| product(weight, x)).sum();
        let from_zeros: i32 = self.zeros.iter().zip(self.differences).map(|(&weight, x)| product(weight, x)).sum();
        self.from_zeros = saturate(from_zeros);
        self.expected = saturate(saturate(from_poles) + self.from_zeros);
    }

    /// UPPOL2 and UPPOL1.
    fn adapt_poles(&mut self, partial: i32) {
        let [first, second] = self.poles;
        let agrees = |earlier: i32| (partial < 0) == (earlier < 0);
        let times_four = saturate(4 * first);
        let towards = if agrees(self.partial[0]) { -times_four } else { times_four }.min(32_767) >> 7;
        let towards = towards + if agrees(self.partial[1]) { 128 } else { -128 };
        let second = (towards + ((second * 32_512) >> 15)).clamp(-12_288, 12_288);
        let limit = 15_360 - second;
        let towards = if agrees(self.partial[0]) { 192 } else { -192 };
        let first = (towards + ((first * 32_640) >> 15)).clamp(-limit, limit);
        self.poles = [first, second];
    }

    /// UPZERO.
    fn adapt_zeros(&mut self, difference: i32) {
        let towards = if difference == 0 { 0 } else { 128 };
        for (zero, earlier) in self.zeros.iter_mut().zip(self.differences) {
            let agrees = (earlier < 0) == (difference < 0);
            *zero = saturate(if agrees { towards } else { -towards } + ((*zero * 32_640) >> 15));
        }
    }
}

/// The distance from zero in the one's complement sense.
fn magnitude(difference: i32) -> i32 {
    if difference < 0 { !difference } else { difference }
}

fn saturate(x: i32) -> i32 {
    x.clamp(i16::MIN.into(), i16::MAX.into())
}
