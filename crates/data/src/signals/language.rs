//! The language that a text is written in.

use whatlang::{Lang, detect};

/// What stands in the place of a language where there is too little text to tell (Lilac's name for it).
pub const TOO_SHORT: &str = "TOO_SHORT";

/// What stands there for code, in which no language is looked for.
pub const CODE: &str = "CODE";

/// Bytes looked at. Three times as many give the same answer on all but mixed documents, and take three times as long.
const SAMPLE: usize = 600;

/// Letters that a text has at least for an answer; half as many where a letter is a syllable or a word.
const LETTERS: usize = 20;

/// A two-letter code of ISO 639-1 where there is one, and how sure that is, 0 to 1.
pub(super) fn of(text: &str) -> (&'static str, f64) {
    let sample = sample(text);
    let letters = sample.chars().filter(|character| character.is_alphabetic());
    let weights = letters.map(|character| if character >= '\u{3040}' { 2 } else { 1 });
    if weights.sum::<usize>() < LETTERS {
        return (TOO_SHORT, 0.0);
    }
    match detect(sample) {
        Some(found) => (code(found.lang()), found.confidence()),
        None => (TOO_SHORT, 0.0),
    }
}

/// From the middle of a long text: titles and licences stand at its ends.
fn sample(text: &str) -> &str {
    if text.len() <= SAMPLE {
        return text;
    }
    let start = text.floor_char_boundary((text.len() - SAMPLE) / 2);
    &text[start..text.floor_char_boundary(start + SAMPLE)]
}

/// ISO 639-1, for the languages that the library tells apart.
fn code(language: Lang) -> &'static str {
    match language {
        Lang::Epo => "eo",
        Lang::Eng => "en",
        Lang::Rus => "ru",
        Lang::Cmn => "zh",
        Lang::Spa => "es",
        Lang::Por => "pt",
        Lang::Ita => "it",
        Lang::Ben => "bn",
        Lang::Fra => "fr",
        Lang::Deu => "de",
        Lang::Ukr => "uk",
        Lang::Kat => "ka",
        Lang::Ara => "ar",
        Lang::Hin => "hi",
        Lang::Jpn => "ja",
        Lang::Heb => "he",
        Lang::Yid => "yi",
        Lang::Pol => "pl",
        Lang::Amh => "am",
        Lang::Jav => "jv",
        Lang::Kor => "ko",
        Lang::Nob => "nb",
        Lang::Dan => "da",
        Lang::Swe => "sv",
        Lang::Fin => "fi",
        Lang::Tur => "tr",
        Lang::Nld => "nl",
        Lang::Hun => "hu",
        Lang::Ces => "cs",
        Lang::Ell => "el",
        Lang::Bul => "bg",
        Lang::Bel => "be",
        Lang::Mar => "mr",
        Lang::Kan => "kn",
        Lang::Ron => "ro",
        Lang::Slv => "sl",
        Lang::Hrv => "hr",
        Lang::Srp => "sr",
        Lang::Mkd => "mk",
        Lang::Lit => "lt",
        Lang::Lav => "lv",
        Lang::Est => "et",
        Lang::Tam => "ta",
        Lang::Vie => "vi",
        Lang::Urd => "ur",
        Lang::Tha => "th",
        Lang::Guj => "gu",
        Lang::Uzb => "uz",
        Lang::Pan => "pa",
        Lang::Aze => "az",
        Lang::Ind => "id",
        Lang::Tel => "te",
        Lang::Pes => "fa",
        Lang::Mal => "ml",
        Lang::Ori => "or",
        Lang::Mya => "my",
        Lang::Nep => "ne",
        Lang::Sin => "si",
        Lang::Khm => "km",
        Lang::Tuk => "tk",
        Lang::Aka => "ak",
        Lang::Zul => "zu",
        Lang::Sna => "sn",
        Lang::Afr => "af",
        Lang::Lat => "la",
        Lang::Slk => "sk",
        Lang::Cat => "ca",
        Lang::Tgl => "tl",
        Lang::Hye => "hy",
        other => other.code(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Article 1 of the Universal Declaration of Human Rights, its first sentence.
    #[test]
    fn common_languages_are_told_apart() {
        for (language, text) in [
            ("en", "All human beings are born free and equal in dignity and rights."),
            ("de", "Alle Menschen sind frei und gleich an Würde und Rechten geboren."),
            ("fr", "Tous les êtres humains naissent libres et égaux en dignité et en droits."),
            ("es", "Todos los seres humanos nacen libres e iguales en dignidad y derechos."),
            ("it", "Tutti gli esseri umani nascono liberi ed eguali in dignità e diritti."),
            ("pt", "Todos os seres humanos nascem livres e iguais em dignidade e em direitos."),
            ("nl", "Alle mensen worden vrij en gelijk in waardigheid en rechten geboren."),
            ("pl", "Wszyscy ludzie rodzą się wolni i równi pod względem swej godności i swych praw."),
            ("ru", "Все люди рождаются свободными и равными в своём достоинстве и правах."),
            ("uk", "Всі люди народжуються вільними і рівними у своїй гідності та правах."),
            ("tr", "Bütün insanlar hür, haysiyet ve haklar bakımından eşit doğarlar."),
            ("vi", "Tất cả mọi người sinh ra đều được tự do và bình đẳng về nhân phẩm và quyền lợi."),
            ("el", "Όλοι οι άνθρωποι γεννιούνται ελεύθεροι και ίσοι στην αξιοπρέπεια και τα δικαιώματα."),
            ("ar", "يولد جميع الناس أحرارًا متساوين في الكرامة والحقوق."),
            ("hi", "सभी मनुष्यों को गौरव और अधिकारों के मामले में जन्मजात स्वतन्त्रता और समानता प्राप्त है।"),
            ("ja", "すべての人間は、生まれながらにして自由であり、かつ、尊厳と権利とについて平等である。"),
            ("zh", "人人生而自由，在尊严和权利上一律平等。"),
            ("ko", "모든 인간은 태어날 때부터 자유로우며 그 존엄과 권리에 있어 동등하다."),
        ] {
            assert_eq!(of(text).0, language, "{text}");
        }
    }

    #[test]
    fn short_texts_have_no_language() {
        for text in ["", "Hi!", "1234567890 1234567890 1234567890", "猫が好き"] {
            assert_eq!(of(text), (TOO_SHORT, 0.0), "{text}");
        }
    }

    #[test]
    fn a_sample_is_cut_between_characters() {
        for length in 0..4 {
            let text = "x".repeat(length) + &"語".repeat(1000);
            assert!(sample(&text).len() <= SAMPLE);
        }
    }
}
