//! Shamir's secret sharing (Adi Shamir, "How to share a secret", 1979), byte by byte over the field
//! of AES: GF(2^8) modulo x^8 + x^4 + x^3 + x + 1.
//!
//! No branch and no address depends on a secret. What depends on the numbers of shares, which are
//! public, need not be so.

use super::{KEY_LEN, SecretArray};
use crate::rng::{RandomError, RandomSource};

type Secret = SecretArray<KEY_LEN>;

/// Divides a secret into shares numbered from 1, of which any `threshold` give it back and fewer
/// tell nothing of it. `threshold` is at least 1 and at most `shares`.
pub(crate) fn split_secret(
    secret: &[u8; KEY_LEN],
    threshold: u8,
    shares: u8,
    random: &dyn RandomSource,
) -> Result<Vec<Secret>, RandomError> {
    // The coefficients of the polynomials, the highest first; the secret is the value at 0.
    let mut coefficients = Vec::with_capacity(threshold.into());
    for _ in 1..threshold {
        let mut coefficient = Secret::zeroed();
        random.fill(coefficient.as_mut_slice())?;
        coefficients.push(coefficient);
    }
    coefficients.push(Secret::from(*secret));
    let value_at = |x| {
        let mut value = Secret::zeroed();
        for coefficient in &coefficients {
            for (value, coefficient) in value.iter_mut().zip(coefficient.iter()) {
                *value = multiply(*value, x) ^ coefficient;
            }
        }
        value
    };
    Ok((1..=shares).map(value_at).collect())
}

/// The secret of which these are shares, with their numbers: distinct, and as many as it takes. If
/// they are not all of one secret, something else comes out.
pub(crate) fn combine_shares<'a>(
    shares: impl Iterator<Item = (u8, &'a [u8; KEY_LEN])> + Clone,
) -> Secret {
    let mut secret = Secret::zeroed();
    for (x, share) in shares.clone() {
        // Of the polynomial that is 1 at x and 0 at the others: its value at 0.
        let others = shares
            .clone()
            .map(|(other, _)| other)
            .filter(|other| *other != x);
        let weight = others.fold(1, |weight, other| {
            multiply(weight, multiply(other, invert(other ^ x)))
        });
        for (secret, share) in secret.iter_mut().zip(share) {
            *secret ^= multiply(*share, weight);
        }
    }
    secret
}

fn multiply(a: u8, b: u8) -> u8 {
    let mut product = 0;
    for bit in (0..8).rev() {
        let carry = 0u8.wrapping_sub(product >> 7);
        product = product << 1 ^ carry & 0x1b;
        product ^= 0u8.wrapping_sub(b >> bit & 1) & a;
    }
    product
}

/// `a` to the power of 254; 0 for 0.
fn invert(a: u8) -> u8 {
    let mut power = a;
    let mut inverse = 1;
    for _ in 0..7 {
        power = multiply(power, power);
        inverse = multiply(inverse, power);
    }
    inverse
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rand_core::SeedableRng;
    use vsss_rs::Gf256;

    use super::*;
    use crate::rng::SystemRandom;

    #[test]
    fn the_field_is_a_field() {
        for a in 0..=255u8 {
            assert_eq!(multiply(a, 1), a);
            assert_eq!(multiply(a, invert(a)), u8::from(a != 0));
            for b in 0..=255 {
                assert_eq!(multiply(a, b), multiply(b, a));
                assert_eq!(multiply(a, b ^ 0x53), multiply(a, b) ^ multiply(a, 0x53));
            }
        }
        // FIPS 197, section 4.2.
        assert_eq!(multiply(0x57, 0x83), 0xc1);
    }

    fn all_choices(threshold: u8, count: u8) -> impl Iterator<Item = Vec<u8>> {
        (0..1u32 << count)
            .filter(move |bits| bits.count_ones() == u32::from(threshold))
            .map(move |bits| (1..=count).filter(|n| bits >> (n - 1) & 1 == 1).collect())
    }

    #[test]
    fn any_of_enough_shares_give_the_secret_and_fewer_do_not() {
        for (threshold, count) in [(2, 2), (2, 3), (3, 5), (5, 8), (16, 16), (2, 16)] {
            let secret = [0xa5; KEY_LEN];
            let shares = split_secret(&secret, threshold, count, &SystemRandom).unwrap();
            let taken = |numbers: &[u8]| {
                let some = numbers.iter().map(|n| (*n, &*shares[usize::from(*n) - 1]));
                *combine_shares(some.collect::<Vec<_>>().into_iter())
            };
            for numbers in all_choices(threshold, count) {
                assert_eq!(taken(&numbers), secret, "{numbers:?}");
                assert_ne!(taken(&numbers[1..]), secret, "{numbers:?}");
            }
        }
    }

    /// What one share can be does not depend on the secret: each value occurs for each secret byte.
    #[test]
    fn one_share_of_two_tells_nothing() {
        for secret in [0u8, 1, 0x80, 0xff] {
            let mut seen = [false; 256];
            for coefficient in 0..=255u8 {
                seen[usize::from(multiply(coefficient, 7) ^ secret)] = true;
            }
            assert!(seen.iter().all(|seen| *seen));
        }
    }

    proptest! {
        #[test]
        fn agrees_with_vsss(secret: [u8; KEY_LEN], threshold in 2u8..=8, more in 0u8..=8) {
            let count = threshold + more;
            let ours = split_secret(&secret, threshold, count, &SystemRandom).unwrap();
            let numbered = (1..).zip(&ours).map(|(number, share)| [&[number], &share[..]].concat());
            let last: Vec<_> = numbered.skip(usize::from(more)).collect();
            prop_assert_eq!(Gf256::combine_array(last).unwrap(), secret);

            let theirs = Gf256::split_array(
                threshold.into(),
                count.into(),
                secret,
                chacha20::ChaCha20Rng::from_seed(secret),
            )
            .unwrap();
            let last = theirs[usize::from(more)..].iter();
            let last = last.map(|share| (share[0], share[1..].try_into().unwrap()));
            prop_assert_eq!(*combine_shares(last), secret);
        }
    }
}
