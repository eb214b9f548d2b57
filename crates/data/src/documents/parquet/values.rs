//! The strings in a page (Parquet format 2.x, Encodings.md). The library's own decoders panic where a page contradicts
//! its header; these give an error. Nothing is taken on a header's word: values are decoded one by one as they are asked.

use bytes::{Buf, Bytes};
use parquet::{basic::Encoding, column::page::Page};
use std::sync::Arc;

/// The values of one page, in order.
pub(super) struct PageValues {
    left: u32,
    /// Whether each value is there; `None`: all are.
    levels: Option<Hybrid>,
    /// The level of a value that is there.
    present: u64,
    strings: Strings,
}

impl PageValues {
    /// `present`: the definition level of a value that is there, 0 in a column without nulls.
    pub(super) fn new(page: Page, present: i16, dictionary: Option<&Arc<[Bytes]>>) -> Result<Self, String> {
        let width = 16 - (present as u16).leading_zeros();
        let (count, encoding, levels, data) = match page {
            Page::DataPage { mut buf, num_values, encoding, def_level_encoding, .. } => {
                let mut levels = None;
                if present > 0 {
                    if def_level_encoding != Encoding::RLE {
                        return Err(format!("levels are encoded as {def_level_encoding}"));
                    }
                    levels = Some(take_prefixed(&mut buf).ok_or("a page ends within its levels")?);
                }
                (num_values, encoding, levels, buf)
            }
            Page::DataPageV2 { mut buf, num_values, encoding, def_levels_byte_len, rep_levels_byte_len, .. } => {
                let cut = "a page ends within its levels";
                take(&mut buf, u64::from(rep_levels_byte_len)).ok_or(cut)?;
                let levels = take(&mut buf, u64::from(def_levels_byte_len)).ok_or(cut)?;
                (num_values, encoding, (present > 0).then_some(levels), buf)
            }
            Page::DictionaryPage { .. } => return Err("a dictionary stands where values should".into()),
        };
        Ok(Self {
            left: count,
            levels: levels.map(|levels| Hybrid::new(levels, width)),
            present: present as u64,
            strings: Strings::new(encoding, data, dictionary)?,
        })
    }

    pub(super) fn is_over(&self) -> bool {
        self.left == 0
    }

    /// The next value; `None` where there is none in this row.
    pub(super) fn next(&mut self) -> Result<Option<Bytes>, String> {
        self.left = self.left.checked_sub(1).ok_or("a page has fewer values than rows")?;
        if let Some(levels) = &mut self.levels {
            let level = levels.next().ok_or("a page ends within its levels")?;
            if level < self.present {
                return Ok(None);
            }
        }
        self.strings
            .next()
            .map(Some)
            .ok_or_else(|| "a page ends within its values, or they contradict each other".into())
    }
}

/// The strings of a dictionary page.
pub(super) fn dictionary(page: Page) -> Result<Arc<[Bytes]>, String> {
    let Page::DictionaryPage { mut buf, num_values, encoding, .. } = page else {
        return Err("a page of values stands where a dictionary should".into());
    };
    if !matches!(encoding, Encoding::PLAIN | Encoding::PLAIN_DICTIONARY) {
        return Err(format!("a dictionary is encoded as {encoding}"));
    }
    let strings = (0..num_values).map_while(|_| take_prefixed(&mut buf)).collect::<Arc<[Bytes]>>();
    if strings.len() < num_values as usize {
        return Err(format!("a dictionary states {num_values} strings and holds {}", strings.len()));
    }
    Ok(strings)
}

enum Strings {
    Plain(Bytes),
    Dictionary { indices: Hybrid, strings: Arc<[Bytes]> },
    DeltaLength { lengths: Deltas, data: Bytes },
    Delta { prefixes: Deltas, suffix_lengths: Deltas, suffixes: Bytes, last: Bytes },
}

impl Strings {
    fn new(encoding: Encoding, mut data: Bytes, dictionary: Option<&Arc<[Bytes]>>) -> Result<Self, String> {
        let cut = "a page ends within the lengths of its strings";
        Ok(match encoding {
            Encoding::PLAIN => Self::Plain(data),
            Encoding::PLAIN_DICTIONARY | Encoding::RLE_DICTIONARY => {
                let strings = dictionary.ok_or("a page needs a dictionary, and the column has none")?.clone();
                // A page without values may lack even the width.
                let width = if data.is_empty() { 0 } else { data.get_u8() };
                if width > 32 {
                    return Err(format!("indices of {width} bits"));
                }
                Self::Dictionary { indices: Hybrid::new(data, width.into()), strings }
            }
            Encoding::DELTA_LENGTH_BYTE_ARRAY => {
                let lengths = Deltas::take(&mut data).ok_or(cut)?;
                Self::DeltaLength { lengths, data }
            }
            Encoding::DELTA_BYTE_ARRAY => {
                let prefixes = Deltas::take(&mut data).ok_or(cut)?;
                let suffix_lengths = Deltas::take(&mut data).ok_or(cut)?;
                Self::Delta { prefixes, suffix_lengths, suffixes: data, last: Bytes::new() }
            }
            other => return Err(format!("strings are encoded as {other}")),
        })
    }

    /// `None`: there is none, or what there is contradicts itself.
    fn next(&mut self) -> Option<Bytes> {
        match self {
            Self::Plain(data) => take_prefixed(data),
            Self::Dictionary { indices, strings } => strings.get(usize::try_from(indices.next()?).ok()?).cloned(),
            Self::DeltaLength { lengths, data } => take(data, lengths.next()?.try_into().ok()?),
            Self::Delta { prefixes, suffix_lengths, suffixes, last } => {
                let suffix = take(suffixes, suffix_lengths.next()?.try_into().ok()?)?;
                let prefix = last.get(..usize::try_from(prefixes.next()?).ok()?)?;
                *last = if prefix.is_empty() { suffix } else { [prefix, &suffix].concat().into() };
                Some(last.clone())
            }
        }
    }
}

fn take(data: &mut Bytes, length: u64) -> Option<Bytes> {
    let length = usize::try_from(length).ok().filter(|&length| length <= data.len())?;
    Some(data.split_to(length))
}

/// What stands behind its length in four bytes.
fn take_prefixed(data: &mut Bytes) -> Option<Bytes> {
    let length = data.try_get_u32_le().ok()?;
    take(data, length.into())
}

/// An unsigned LEB128 number.
fn take_varint(data: &mut Bytes) -> Option<u64> {
    let mut number = 0;
    for shift in (0..64).step_by(7) {
        let byte = data.try_get_u8().ok()?;
        number |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Some(number);
        }
    }
    None
}

fn take_zigzag(data: &mut Bytes) -> Option<i64> {
    let number = take_varint(data)?;
    Some((number >> 1) as i64 ^ -((number & 1) as i64))
}

/// `width` bits from bit `at` on, lowest first. At most 64.
fn bits(data: &[u8], at: usize, width: u32) -> Option<u64> {
    let end = at.checked_add(width as usize)?;
    let bytes = data.get(at / 8..end.div_ceil(8))?;
    let all = bytes.iter().rev().fold(0_u128, |all, &byte| all << 8 | u128::from(byte));
    Some((all >> (at % 8)) as u64 & u64::MAX.checked_shr(64 - width).unwrap_or(0))
}

/// Numbers of a fixed width, as runs of one number and groups of eight packed ones.
struct Hybrid {
    data: Bytes,
    width: u32,
    run: Run,
}

enum Run {
    Same { number: u64, left: u64 },
    Packed { data: Bytes, at: usize, left: u64 },
}

impl Hybrid {
    fn new(data: Bytes, width: u32) -> Self {
        Self { data, width, run: Run::Same { number: 0, left: 0 } }
    }

    fn next(&mut self) -> Option<u64> {
        loop {
            match &mut self.run {
                Run::Same { left: 0, .. } | Run::Packed { left: 0, .. } => {}
                Run::Same { number, left } => {
                    *left -= 1;
                    return Some(*number);
                }
                Run::Packed { data, at, left } => {
                    let number = bits(data, *at, self.width)?;
                    *left -= 1;
                    *at += self.width as usize;
                    return Some(number);
                }
            }
            let header = take_varint(&mut self.data)?;
            let left = header >> 1;
            self.run = if header & 1 == 0 {
                let bytes = take(&mut self.data, u64::from(self.width.div_ceil(8)))?;
                Run::Same { number: bits(&bytes, 0, bytes.len() as u32 * 8)?, left }
            } else {
                // Some writers leave the padding of the last group away.
                let length = left.checked_mul(self.width.into())?.min(self.data.len() as u64);
                Run::Packed { data: take(&mut self.data, length)?, at: 0, left: left.checked_mul(8)? }
            };
        }
    }
}

/// Numbers as differences, in blocks of which each part has its own width.
#[derive(Clone)]
struct Deltas {
    data: Bytes,
    /// Numbers that are not read yet.
    left: u64,
    number: i64,
    is_first: bool,
    /// Numbers in a part of a block, parts in a block.
    part: u64,
    parts: usize,
    min_delta: i64,
    /// Widths of the parts of this block that are not read yet.
    widths: Bytes,
    packed: Bytes,
    width: u32,
    at: usize,
    left_in_part: u64,
}

impl Deltas {
    /// Takes the numbers off the data, which goes on behind them.
    fn take(data: &mut Bytes) -> Option<Self> {
        let block = take_varint(data)?;
        let parts = usize::try_from(take_varint(data)?).ok()?;
        let left = take_varint(data)?;
        let number = take_zigzag(data)?;
        let part = block.checked_div(parts as u64)?;
        // A multiple of 32, says the format; so that a part ends with a byte, and there is one.
        if part == 0 || part % 32 != 0 {
            return None;
        }
        let numbers = Self {
            data: data.clone(),
            left,
            number,
            is_first: true,
            part,
            parts,
            min_delta: 0,
            widths: Bytes::new(),
            packed: Bytes::new(),
            width: 0,
            at: 0,
            left_in_part: 0,
        };
        let mut end = numbers.clone();
        while end.left > 0 {
            end.next()?;
        }
        *data = end.data;
        Some(numbers)
    }

    fn next(&mut self) -> Option<i64> {
        self.left = self.left.checked_sub(1)?;
        if std::mem::take(&mut self.is_first) {
            return Some(self.number);
        }
        if self.left_in_part == 0 {
            if self.widths.is_empty() {
                self.min_delta = take_zigzag(&mut self.data)?;
                self.widths = take(&mut self.data, self.parts as u64)?;
            }
            self.width = self.widths.get_u8().into();
            if self.width > 64 {
                return None;
            }
            self.packed = take(&mut self.data, self.part.checked_mul(self.width.into())? / 8)?;
            (self.at, self.left_in_part) = (0, self.part);
        }
        let delta = bits(&self.packed, self.at, self.width)?;
        self.at += self.width as usize;
        self.left_in_part -= 1;
        self.number = self.number.wrapping_add(self.min_delta).wrapping_add(delta as i64);
        Some(self.number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn bits_are_read_from_anywhere() {
        let data = [0b1010_1100, 0xff, 0, 0, 0, 0, 0, 0, 0x80];
        for (at, width, expected) in [
            (0, 0, Some(0)),
            (2, 4, Some(0b1011)),
            (6, 4, Some(0b1110)),
            (8, 64, Some(0x8000_0000_0000_00ff)),
            (70, 3, None),
        ] {
            assert_eq!(bits(&data, at, width), expected, "{at} {width}");
        }
    }

    /// The example of Encodings.md: 1 to 5, and 7 5 3 1 2 3 4 5.
    #[test]
    fn the_examples_of_the_format() {
        let mut steady = Bytes::from_static(&[0x80, 1, 4, 5, 2, 2, 0, 0, 0, 0, 99]);
        let mut numbers = Deltas::take(&mut steady).unwrap();
        assert_eq!((1..=5).map(|_| numbers.next().unwrap()).collect::<Vec<_>>(), [1, 2, 3, 4, 5]);
        assert_eq!((numbers.next(), &steady[..]), (None, &[99][..]));
        // Deltas -2 -2 -2 1 1 1 1, least -2: 0 0 0 3 3 3 3 in two bits.
        let packed = [0xc0, 0x3f, 0, 0, 0, 0, 0, 0];
        let mut bytes = [&[0x80, 1, 4, 8, 14, 3, 2, 0, 0, 0][..], &packed].concat();
        bytes.push(99);
        let mut rest = Bytes::from(bytes);
        let mut numbers = Deltas::take(&mut rest).unwrap();
        assert_eq!((0..8).map(|_| numbers.next().unwrap()).collect::<Vec<_>>(), [7, 5, 3, 1, 2, 3, 4, 5]);
        assert_eq!(&rest[..], [99]);

        // A run of five fours, then 0 to 7 packed in three bits.
        let mut hybrid = Hybrid::new(Bytes::from_static(&[10, 4, 3, 0x88, 0xc6, 0xfa]), 3);
        let numbers: Vec<u64> = (0..13).map(|_| hybrid.next().unwrap()).collect();
        assert_eq!(numbers, [4, 4, 4, 4, 4, 0, 1, 2, 3, 4, 5, 6, 7]);
        assert_eq!(hybrid.next(), None);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]

        #[test]
        fn any_bytes_are_strings_or_an_error(
            data in prop::collection::vec(any::<u8>(), 0..80),
            num_values in 0_u32..200,
            encoding in prop::sample::select(vec![
                Encoding::PLAIN, Encoding::RLE_DICTIONARY, Encoding::DELTA_LENGTH_BYTE_ARRAY, Encoding::DELTA_BYTE_ARRAY,
            ]),
            present in 0_i16..3,
        ) {
            let words: Arc<[Bytes]> = ["a", "b"].map(Bytes::from).into();
            let page = Page::DataPage {
                buf: data.into(), num_values, encoding,
                def_level_encoding: Encoding::RLE, rep_level_encoding: Encoding::RLE, statistics: None,
            };
            if let Ok(mut values) = PageValues::new(page, present, Some(&words)) {
                let read = (0..num_values).map_while(|_| values.next().ok()).count();
                prop_assert!(read <= num_values as usize);
                prop_assert!(read < num_values as usize || values.is_over() && values.next().is_err());
            }
        }
    }
}
