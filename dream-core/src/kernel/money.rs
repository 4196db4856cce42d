//! Amounts. Arithmetic is checked; there are no floats.

use std::fmt;

macro_rules! amount {
    ($(#[$doc:meta])* $name:ident, $unit:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
        pub struct $name(i64);

        impl $name {
            /// Nothing.
            pub const ZERO: Self = Self(0);

            #[doc = concat!("This many ", $unit, ".")]
            pub const fn new(amount: i64) -> Self {
                Self(amount)
            }

            #[doc = concat!("The number of ", $unit, ".")]
            pub const fn get(self) -> i64 {
                self.0
            }

            /// The sum, unless it cannot be represented.
            pub const fn checked_add(self, other: Self) -> Option<Self> {
                match self.0.checked_add(other.0) {
                    Some(sum) => Some(Self(sum)),
                    None => None,
                }
            }

            /// The difference, unless it cannot be represented. It may be negative.
            pub const fn checked_sub(self, other: Self) -> Option<Self> {
                match self.0.checked_sub(other.0) {
                    Some(rest) => Some(Self(rest)),
                    None => None,
                }
            }

            /// The product, unless it cannot be represented.
            pub const fn checked_mul(self, times: i64) -> Option<Self> {
                match self.0.checked_mul(times) {
                    Some(product) => Some(Self(product)),
                    None => None,
                }
            }

            /// Whether it is more than nothing.
            pub const fn is_positive(self) -> bool {
                self.0 > 0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

amount!(
    /// An amount of money in fen: 100 fen are one yuan.
    ///
    /// ```
    /// use dream_core::kernel::Fen;
    ///
    /// let month = Fen::new(1999);
    /// assert_eq!(month.checked_mul(12), Some(Fen::new(23_988)), "239.88 yuan");
    /// assert_eq!(Fen::new(500).checked_sub(month), Some(Fen::new(-1499)));
    /// assert_eq!(Fen::new(i64::MAX).checked_add(Fen::new(1)), None, "it never wraps");
    /// assert!(month.is_positive() && !Fen::ZERO.is_positive());
    /// ```
    Fen,
    "fen"
);
amount!(
    /// A number of points.
    ///
    /// ```
    /// use dream_core::kernel::Points;
    ///
    /// // Three pictures in final mode, at ten points each. They are no `Fen`, and cannot be added to any.
    /// let cost = Points::new(10).checked_mul(3).unwrap();
    /// assert_eq!((cost.get(), cost > Points::new(25)), (30, true));
    /// ```
    Points,
    "points"
);
