//! Public addresses of the internet. Reserved networks (IANA's special-purpose registries, RFC 6890) belong to nobody.

use super::bounds::{at, before, context, ends_in_word, is_word, run};
use std::net::{Ipv4Addr, Ipv6Addr};

/// Words before what looks like an address but is a version or the number of a section.
const NOT_AN_ADDRESS: [&[u8]; 21] = [
    b"v",
    b"ver",
    b"release",
    b"rev",
    b"revision",
    b"build",
    b"firmware",
    b"section",
    b"sections",
    b"sec",
    "§".as_bytes(),
    "§§".as_bytes(),
    b"chapter",
    b"clause",
    b"appendix",
    b"figure",
    b"fig",
    b"table",
    b"paragraph",
    b"article",
    b"oid",
];

pub(super) fn find(bytes: &[u8], start: usize) -> Option<(usize, usize)> {
    version4(bytes, start).or_else(|| version6(bytes, start))
}

fn version4(bytes: &[u8], start: usize) -> Option<(usize, usize)> {
    let (mut octets, mut end) = ([0_u8; 4], start);
    for (place, octet) in octets.iter_mut().enumerate() {
        if place > 0 {
            if at(bytes, end) != b'.' {
                return None;
            }
            end += 1;
        }
        let stop = run(bytes, end, 4, |byte| byte.is_ascii_digit());
        *octet = std::str::from_utf8(&bytes[end..stop]).ok()?.parse().ok()?;
        if stop - end > 1 && bytes[end] == b'0' {
            return None;
        }
        end = stop;
    }
    let previous = before(bytes, start);
    let earlier = start.checked_sub(2).map_or(b' ', |at| bytes[at]);
    let (next, later) = (at(bytes, end), at(bytes, end + 1));
    // Part of a longer number, of a word, of a file's name, or bound to a package.
    let inside =
        is_word(previous) || matches!(previous, b'.' | b'~' | b'^') || previous == b'-' && !earlier.is_ascii_digit();
    // `pkg==1.2.3.4`, `pkg >= 1.2.3.4`.
    let bound = bytes[..start].trim_ascii_end();
    let compared = matches!(bound, [.., b'=' | b'>' | b'<' | b'~' | b'!', b'='] | [.., b'~' | b'^' | b'<' | b'>']);
    let continued = is_word(next)
        || matches!(next, b'.' | b'-' | b'+') && is_word(later) && !(next == b'-' && later.is_ascii_digit());
    if inside || compared || continued || !is_public(Ipv4Addr::from(octets)) || is_object_identifier(octets) {
        return None;
    }
    // Addresses of single digits are rarer by far than versions and numbers of sections.
    if octets.iter().all(|octet| *octet < 10) {
        return None;
    }
    let context = context(bytes, start, 24);
    let is_version = context.ends_with(b"version"); // AssemblyVersion
    (!is_version && !NOT_AN_ADDRESS.iter().any(|word| ends_in_word(&context, word))).then_some((start, end))
}

fn is_public(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    let shared = a == 100 && b & 0xc0 == 64;
    let protocols = (a, b, c) == (192, 0, 0) || (a, b, c) == (192, 88, 99);
    let benchmarks = a == 198 && b & 0xfe == 18;
    // Resolvers that everyone names.
    let resolvers = [[8, 8, 8, 8], [8, 8, 4, 4], [1, 1, 1, 1], [1, 0, 0, 1], [9, 9, 9, 9]];
    !(a == 0 || a >= 224 || shared || protocols || benchmarks || resolvers.contains(&address.octets()))
        && !(address.is_private() || address.is_loopback() || address.is_link_local() || address.is_documentation())
}

/// The arcs of ASN.1 whose identifiers of four numbers are seen in certificates.
fn is_object_identifier(octets: [u8; 4]) -> bool {
    matches!(octets, [1, 3, 6 | 14 | 36 | 132, _] | [2, 5, 29, _] | [2, 23, 140, _])
}

/// Only 2000::/3 is given to anyone, so that every address begins with 2 or 3, in four digits.
fn version6(bytes: &[u8], start: usize) -> Option<(usize, usize)> {
    if !matches!(bytes[start], b'2' | b'3')
        || matches!(before(bytes, start), b':' | b'.')
        || is_word(before(bytes, start))
    {
        return None;
    }
    let is_part = |byte: u8| byte.is_ascii_hexdigit() || byte == b':';
    if run(bytes, start, 5, |byte| byte.is_ascii_hexdigit()) != start + 4 || at(bytes, start + 4) != b':' {
        return None;
    }
    let mut end = run(bytes, start, 40, is_part);
    // A colon of the sentence.
    if bytes[end - 1] == b':' && bytes[end - 2] != b':' {
        end -= 1;
    }
    if is_word(at(bytes, end)) || at(bytes, end) == b'.' && is_word(at(bytes, end + 1)) {
        return None;
    }
    let address: Ipv6Addr = std::str::from_utf8(&bytes[start..end]).ok()?.parse().ok()?;
    let documentation = matches!(address.segments(), [0x2001, 0xdb8, ..] | [0x3fff, 0..=0xfff, ..]);
    let special = matches!(address.segments(), [0x2001, 0..=0x1ff, ..] | [0x2002, ..]);
    // Two groups and nothing between, as C++ has it: `2024::feb`.
    let groups = address.segments().iter().filter(|group| **group != 0).count();
    (!documentation && !special && groups > 2).then_some((start, end))
}
