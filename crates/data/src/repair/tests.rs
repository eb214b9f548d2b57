use super::*;
use proptest::prelude::*;

fn repaired(text: &str) -> String {
    repair(text, &RepairOptions::default()).0.into_owned()
}

/// What became of a text that was written as UTF-8 and read as Windows-1252, or as Latin-1.
fn misread(text: &str, latin_1: bool) -> String {
    let read =
        |byte: u8| if latin_1 { char::from(byte) } else { windows_1252::decode(byte).unwrap_or(char::from(byte)) };
    text.bytes().map(read).collect()
}

#[test]
fn damage_that_happens_is_undone() {
    for (damaged, expected) in [
        ("It\u{e2}\u{20ac}\u{2122}s", "It’s"),
        ("â€œquotedâ€\u{9d} â€“ and â€¦", "“quoted” – and …"),
        ("cafÃ© crÃ¨me, naÃ¯ve, FranÃ§ois, Ã©tÃ©", "café crème, naïve, François, été"),
        ("voilÃ\u{a0}", "voilà"),
        ("10Â\u{a0}â‚¬, 20Â£, 30Â°C, Â§5, Â©", "10\u{a0}€, 20£, 30°C, §5, ©"),
        ("Ã¼ber StraÃŸe Ã–l GrÃ¶ÃŸe ÃœBER", "über Straße Öl Größe ÜBER"),
        ("aÃ±o EspaÃ±a Â¿QuÃ©? Â¡No!", "año España ¿Qué? ¡No!"),
        ("zÅ‚oty Å›wiat piÄ™Ä‡", "złoty świat pięć"),
        ("ÐŸÑ€Ð¸Ð²ÐµÑ‚ Ð¸ Ð¼Ð¸Ñ€", "Привет и мир"),
        ("Î‘Î¸Î®Î½Î±", "Αθήνα"),
        ("×©×œ×•×\u{9d}", "שלום"),
        ("ä½\u{a0}å¥½", "你好"),
        ("ã\u{81}“ã‚“ã\u{81}«ã\u{81}¡ã\u{81}¯", "こんにちは"),
        ("ì•ˆë…•", "안녕"),
        ("ðŸ˜€ ok âœ“ a â†’ b, x â‰¤ y", "😀 ok ✓ a → b, x ≤ y"),
        ("Ã¢â‚¬â„¢ twice, cafÃƒÂ© too", "’ twice, café too"),
        ("ï»¿first line", "first line"),
        ("only parts: cafÃ© and “right” and naïve", "only parts: café and “right” and naïve"),
        ("\u{feff}first line", "first line"),
        ("soft\u{200b}ware zero\u{feff}width\u{2060} jo\u{200d}in\u{200c}er", "software zerowidth joiner"),
        ("It\u{92}s \u{93}so\u{94} \u{85}", "It’s “so” …"),
        ("a\u{0}b\u{8}c\u{7f}d\u{81}", "abcd"),
        ("\u{1b}[1;31mred\u{1b}[0m and \u{1b}bare", "red and bare"),
        ("cafe\u{301} A\u{30a} \u{212b}", "café Å Å"),
        ("A\u{303}\u{a9}", "é"),
        ("One.\\nTwo \\\"quoted\\\".\\n\\n- three\\tfour \\u00e9", "One.\nTwo \"quoted\".\n\n- three\tfour é"),
    ] {
        assert_eq!(repaired(damaged), expected, "{damaged:?}");
    }
}

#[test]
fn correct_text_stays() {
    for text in [
        "Le cœur déçu mais l'âme plutôt naïve, Louÿs rêva de crapaüter en canoë au-delà des îles, près du mälström.",
        "« L'été », dit-elle — à NOËL… ÇA VA À LA CITÉ… « CAFÉ » “CAFÉ” ‘CAFÉ’ É—È",
        "il dit : « un café »… puis “un café”— et ‘né’” fin",
        "Falsches Üben von Xylophonmusik quält jeden größeren Zwerg. „Ä“ und „Ö“ und „Ü“, ÄÖÜ",
        "Pójdźże, kiń tę chmurność w głąb flaszy! Łódź ŻÓŁĆ",
        "Příliš žluťoučký kůň úpěl ďábelské ódy. ŘÍČNÍ",
        "MANHÃ… AMANHû IRMÔ e Ã, maçã, pão, ação, COMUNICAÇÃO",
        "Vùng đất cổ kính, Việt Nam: ĐÂU, TÂM — đâu, sấu, mỗi người một vẻ",
        "Tiếng Việt “Â” ‘Ă’ và ÊÔ",
        "Fărâmiță lângă coș, HOTĂRÂ» și “Â”",
        "Smørrebrød på Å… og Ærø: Å–Ø",
        "ÅNGSTRÖM’S, 10 Å–15 Å, Å®",
        "El pingüino Wenceslao: ¿qué? ¡Año Ñ! «Ñ…» SEÑOR",
        "Жебракують філософи при ґанку церкви в Гадячі — «ё»",
        "Ξεσκεπάζω την ψυχοφθόρα βδελυγμία",
        "זה כיף סתם לשמוע איך תנצח",
        "صِف خَلقَ خَودِ كَمِثلِ الشَمسِ",
        "می\u{200c}خواهم کتاب\u{200c}ها را",
        "क्\u{200d}ष र\u{200d}्य नमस्ते क्\u{200d}",
        "ශ්\u{200d}රී ലങ്ക ക്\u{200d}",
        "👩\u{200d}👩\u{200d}👧 🏳\u{fe0f}\u{200d}🌈 ❤\u{fe0f}\u{200d}🔥 👩🏽\u{200d}💻",
        "ភាសា\u{200b}ខ្មែរ และภาษา\u{200b}ไทย",
        "いろはにほへと ちりぬるを、漢字・カタカナ",
        "視野無限廣，窗外有藍天。café’” 黄",
        "다람쥐 헌 쳇바퀴에 타고파",
        "x² + y³ ≤ 5·10⁻³ µm ± 2 °C, 3×4, ÷, ½, §7, ©®™, £5, €3, ¥9",
        "tab\there\r\nline \u{fffd} kept",
        "dash–dash—dash…“a”‘b’ • † ‡ ‰",
        "\\nabla \\nu \\neq \\frac \\nabla",
        "C:\\new\\names\\night\\notes",
        "printf(\"a\\nb\\nC\\nD\\n\");",
        "s/\\d+\\n\\n\\n\\s/x/",
        "one \\n only",
        "real\nlines and \\n \\n \\n \\n",
    ] {
        let (found, repairs) = repair(text, &RepairOptions::default());
        assert_eq!(found, text);
        assert!(matches!(found, Cow::Borrowed(_)), "{text:?} was copied");
        assert_eq!(Repairs { replacement_characters: 0, ..repairs }, Repairs::default());
    }
}

/// Sentences of many languages are misread and come back, but for what is lost on the way.
#[test]
fn misread_sentences_come_back() {
    for text in [
        "Le cœur déçu mais l'âme plutôt naïve, près du mälström, ÇA VA ÊTRE",
        "Zwölf Boxkämpfer jagen Viktor quer über den großen Sylter Deich – „so“",
        "El pingüino Wenceslao hizo kilómetros: ¿qué? ¡sí!",
        "Жебракують філософи при ґанку церкви в Гадячі, як і в місті",
        "Ξεσκεπάζω την ψυχοφθόρα βδελυγμία",
        "זה כיף סתם לשמוע איך תנצח קרפד עץ טוב בגן",
        "視野無限廣，窗外有藍天",
        "いろはにほへと ちりぬるを",
        "다람쥐 헌 쳇바퀴에 타고파",
        "It’s “quoted” — and so… €5 → 6 ≤ 7 ™",
        "नमस्ते दुनिया",
    ] {
        for latin_1 in [false, true] {
            let damaged = misread(text, latin_1);
            assert_ne!(damaged, text);
            assert_eq!(repaired(&damaged), text, "{damaged}");
            assert_eq!(repaired(&misread(&damaged, latin_1)), text, "twice: {damaged}");
        }
    }
}

#[test]
fn everything_is_counted_and_can_be_left() {
    let text = "cafÃ©\u{0}\u{feff}e\u{301}\r\n\u{fffd}";
    let (found, repairs) = repair(text, &RepairOptions { line_ends: true, ..Default::default() });
    assert_eq!(found, "caféé\n\u{fffd}");
    let expected = Repairs {
        texts: 1,
        mojibake: 1,
        controls: 1,
        invisible: 1,
        line_ends: 1,
        unescaped: 0,
        composed: 1,
        replacement_characters: 1,
    };
    assert_eq!(repairs, expected);
    let mut sum = Repairs::default();
    sum += repairs;
    sum += repairs;
    assert_eq!((sum.texts, sum.mojibake, sum.composed), (2, 2, 2));
    let nothing = RepairOptions {
        mojibake: false,
        controls: false,
        invisible: false,
        line_ends: false,
        escapes: false,
        nfc: false,
    };
    assert_eq!(repair(text, &nothing).0, text);
    assert_eq!(repair("a\rb\r\n", &RepairOptions { line_ends: true, ..nothing }).0, "a\nb\n");
}

/// Pieces of which damage is made.
fn pieces() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        Just("Ã"),
        Just("Â"),
        Just("â€"),
        Just("™"),
        Just("©"),
        Just("\u{303}"),
        Just("\u{301}"),
        Just("e"),
        Just("A"),
        Just("\u{a0}"),
        Just("\u{85}"),
        Just("\u{9d}"),
        Just("\u{feff}"),
        Just("\u{200d}"),
        Just("\u{1b}"),
        Just("["),
        Just("m"),
        Just("\\"),
        Just("n"),
        Just("\\n"),
        Just("\""),
        Just("\r"),
        Just("\n"),
        Just("ð"),
        Just("Ÿ"),
        Just("Ð"),
        Just("¸"),
        Just("Ñ"),
        Just("é"),
        Just("»"),
        Just("…"),
        Just("黄"),
        Just("и"),
        Just("\u{958}"),
        Just("\\u00c3"),
        Just("à"),
        Just("¥"),
        Just("˜"),
    ];
    prop::collection::vec(piece, 0..24).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn ascii_is_untouched(text in "[ -\\[\\]-~\n\t\r]{0,80}") {
        prop_assert!(matches!(repair(&text, &RepairOptions::default()).0, Cow::Borrowed(_)));
    }

    #[test]
    fn repairing_twice_is_repairing_once(text in prop_oneof![pieces(), any::<String>(), "\\PC*"], line_ends: bool) {
        let options = RepairOptions { line_ends, ..Default::default() };
        let (once, repairs) = repair(&text, &options);
        prop_assert_eq!(repairs.texts == 0, once == text);
        let (twice, again) = repair(&once, &options);
        prop_assert_eq!(&twice, &once);
        prop_assert_eq!(again.texts, 0);
    }
}
