//! Whether a line is source code: what it begins and ends with, its operators, and how much of it is symbols.
//!
//! Rules of thumb, not a parser: a line needs evidence worth [`ENOUGH`] points. Data in JSON, TOML, XML or HTML counts as
//! code, as does what stands between Markdown's fences.

/// Points from which on a line is code.
const ENOUGH: u32 = 3;

/// Above this share of lines a document is code.
pub(super) const IS_CODE: f64 = 0.4;

/// Languages that a document can be stated to be written in, and that are not for people to read. Markdown, TeX and the
/// like are: they are judged by their lines.
const LANGUAGES: [&str; 26] = [
    "Rust",
    "Python",
    "C",
    "C++",
    "C#",
    "Go",
    "Java",
    "JavaScript",
    "TypeScript",
    "Ruby",
    "PHP",
    "Swift",
    "Kotlin",
    "Scala",
    "Shell",
    "SQL",
    "CSS",
    "TOML",
    "YAML",
    "JSON",
    "Perl",
    "Lua",
    "Haskell",
    "OCaml",
    "R",
    "Julia",
];

/// Whether a document's stated language is one of programming or data.
pub(super) fn is_language(name: &str) -> bool {
    LANGUAGES.iter().any(|language| language.eq_ignore_ascii_case(name))
}

/// What a line can begin with that prose does not.
const STARTS: [&[u8]; 50] = [
    b"//",
    b"/*",
    b"*/",
    b"#!",
    b"#include",
    b"#define",
    b"#if",
    b"#endif",
    b"#[",
    b"<?",
    b"</",
    b"<!",
    b"--[[",
    b"@",
    b"fn ",
    b"pub ",
    b"impl ",
    b"use ",
    b"mod ",
    b"let ",
    b"const ",
    b"static ",
    b"struct ",
    b"enum ",
    b"match ",
    b"def ",
    b"class ",
    b"import ",
    b"from ",
    b"return",
    b"elif ",
    b"else:",
    b"else {",
    b"except",
    b"function ",
    b"var ",
    b"public ",
    b"private ",
    b"protected ",
    b"package ",
    b"func ",
    b"type ",
    b"if (",
    b"for (",
    b"while (",
    b"switch (",
    b"case ",
    b"export ",
    b"local ",
    b"SELECT ",
];

/// State from one line to the next.
#[derive(Default)]
pub(super) struct Lines {
    fenced: bool,
    comment: bool,
}

impl Lines {
    /// Whether the next line is code; `line` has no white space at either end, and `indented` says that it had before it.
    pub(super) fn next(&mut self, line: &[u8], indented: bool) -> bool {
        if line.starts_with(b"```") || line.starts_with(b"~~~") {
            self.fenced = !self.fenced;
            return true;
        }
        if self.comment {
            self.comment = !line.ends_with(b"*/");
            return true;
        }
        self.comment = line.starts_with(b"/*") && !line.ends_with(b"*/");
        self.fenced || is_code(line, indented)
    }
}

fn is_code(line: &[u8], indented: bool) -> bool {
    let (Some(&first), Some(&last)) = (line.first(), line.last()) else { return false };
    let mut points = match last {
        b';' | b'{' | b'}' => 2,
        b'(' | b'[' | b'\\' | b'=' => 2,
        b')' | b']' | b',' | b'>' | b':' => 1,
        _ => 0,
    };
    points += match first {
        b'{' | b'}' => 2,
        b'(' | b')' | b']' | b'<' | b'.' | b'$' | b'"' | b'&' | b'|' => 1,
        _ if STARTS.iter().any(|start| start[0] == first && line.starts_with(start)) => {
            // Comments and directives are code as they are; a word may be prose.
            if first.is_ascii_alphabetic() { 1 } else { 3 }
        }
        _ => 0,
    };
    let signs = signs(line);
    points += signs.operators.min(3);
    points += match signs.symbols * 100 / line.len() {
        0..=5 => 0,
        6..=11 => 1,
        12..=19 => 2,
        _ => 3,
    };
    if line.len() <= 2 && points > 0 {
        return true; // a bracket alone
    }
    points + u32::from(indented && points > 0) >= ENOUGH
}

struct Signs {
    /// Bytes that prose seldom has.
    symbols: usize,
    /// Pairs that only code has.
    operators: u32,
}

/// 1: a sign of which pairs are told; 2: one that prose seldom has besides.
const SYMBOL: [u8; 256] = {
    let mut table = [0; 256];
    let (common, rare) = (b"():/#\"*", b"{}[]<>=;_&|\\+$@");
    let mut at = 0;
    while at < common.len() {
        table[common[at] as usize] = 1;
        at += 1;
    }
    at = 0;
    while at < rare.len() {
        table[rare[at] as usize] = 3;
        at += 1;
    }
    table
};

fn signs(line: &[u8]) -> Signs {
    let (mut symbols, mut operators, mut before) = (0, 0, b' ');
    for &byte in line {
        let symbol = SYMBOL[usize::from(byte)];
        if symbol != 0 {
            symbols += usize::from(symbol >> 1);
            let is_operator = match (before, byte) {
                (b'-' | b'=', b'>') | (b'=' | b'!' | b':' | b'+' | b'-' | b'*', b'=') => true,
                (b':', b':') | (b'&', b'&') | (b'|', b'|') | (b'"', b':') | (b'<', b'/') | (b'/', b'>') => true,
                (b'(', b')') | (b'[', b']') | (b'{', b'}') | (b' ', b'=') => true,
                // A call, or an index: prose has a space before a bracket.
                (b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'_' | b'>' | b'!', b'(' | b'[') => true,
                (b'a'..=b'z' | b'0'..=b'9', b'_') => true,
                _ => false,
            };
            operators += u32::from(is_operator);
        }
        before = byte;
    }
    Signs { symbols, operators }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn share(text: &str) -> f64 {
        let mut lines = Lines::default();
        let all: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
        let code = all.iter().filter(|line| lines.next(line.trim().as_bytes(), line.starts_with([' ', '\t'])));
        code.count() as f64 / all.len() as f64
    }

    #[test]
    fn source_code_is_told_from_prose() {
        for code in [
            "fn main() {\n    let x = 3;\n    // A comment that is a whole sentence.\n    println!(\"{x}\");\n}",
            "import os\n\ndef f(a, b=None):\n    if a == b:\n        return os.path.join(a, b)\n    x[0] += 1",
            "#include <stdio.h>\nint main(void) {\n\tfor (int i = 0; i < 3; i++)\n\t\tprintf(\"%d\\n\", i);\n}",
            "{\n  \"name\": \"left-pad\",\n  \"version\": \"1.0.0\",\n  \"scripts\": {}\n}",
            "/*\n * Permission is hereby granted.\n * As it is.\n */\nint x;",
            "```\nanything at all\n```",
            "const f = async (a) => {\n  await g(a);\n};\nexport default f;",
        ] {
            assert!(share(code) > 0.7, "{}: {code}", share(code));
        }
        for prose in [
            "It was a dark and stormy night; the rain fell in torrents.\nExcept at occasional intervals,",
            "Return to the station (on foot), and wait.\nLet me be clear: no.\nUse it well.",
            "- first, second\n- third (3)\n* fourth\n# A heading\nSee https://example.com/a_b.",
            "Dear Sir,\n\n    an indented line of a letter\n\nYours,\nA.",
            "猫が好きです。\n犬も好きです。",
            "1. Mix the flour.\n2. Add 3/4 of the water: 200 ml.",
        ] {
            assert!(share(prose) < 0.25, "{}: {prose}", share(prose));
        }
    }
}
