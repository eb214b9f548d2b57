//! Chat templates: the golden conversations of DBRX, the templates of other families, and what must never happen: message
//! text that becomes a special token, a template that runs away.

use std::path::{Path, PathBuf};
use std::sync::LazyLock;
use std::time::{Duration, UNIX_EPOCH};

use moeworks_text::{ChatOptions, ChatTemplate, DBRX_SYSTEM_PROMPT, Message, TextError, Tokenizer};
use proptest::prelude::*;
use serde_json::{Value, json};

static CL100K: LazyLock<Tokenizer> = LazyLock::new(Tokenizer::cl100k);

/// Roles and contents.
type Turns<'a> = &'a [(&'a str, &'a str)];

fn chat(turns: Turns) -> Vec<Message> {
    turns.iter().map(|(role, content)| Message::new(*role, *content)).collect()
}

fn render(template: &str, messages: &[Message], options: &ChatOptions) -> Result<String, TextError> {
    Ok(ChatTemplate::new(template)?.render(&CL100K, messages, options)?.text())
}

fn vectors() -> Vec<Value> {
    let shared = std::env::var_os("MOEWORKS_SHARED")
        .map_or_else(|| PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared")), PathBuf::from)
        .join("eval-data/tokenizer/dbrx_chat_vectors.jsonl");
    let own = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors/dbrx_chat.jsonl");
    let mut text = std::fs::read_to_string(own).unwrap();
    match std::fs::read_to_string(&shared) {
        Ok(more) => text += &more,
        Err(_) => eprintln!("SKIPPED: {} is not there; set MOEWORKS_SHARED", shared.display()),
    }
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn golden_conversations_of_dbrx() {
    for row in vectors() {
        let messages: Vec<Message> = serde_json::from_value(row["messages"].clone()).unwrap();
        let options = ChatOptions {
            add_generation_prompt: row["add_generation_prompt"] == true,
            default_system_prompt: (row["use_default_system_prompt"] == true).then(|| DBRX_SYSTEM_PROMPT.to_owned()),
            ..ChatOptions::default()
        };
        let rendered = CL100K.chat_template().render(&CL100K, &messages, &options).unwrap();
        assert_eq!(rendered.text(), row["text"].as_str().unwrap());
        let ids: Vec<u32> = serde_json::from_value(row["ids"].clone()).unwrap();
        assert_eq!(rendered.encode(&CL100K), ids);
        assert_eq!(CL100K.chat_template().encode_chat(&CL100K, &messages, &options).unwrap(), ids);
    }
}

#[test]
fn cuts_keep_tokens_apart_and_change_nothing_else() {
    let rendered =
        CL100K.chat_template().render(&CL100K, &chat(&[("user", "hello  \n\nworld")]), &ChatOptions::default());
    let rendered = rendered.unwrap();
    let text = rendered.text();
    let whole = rendered.encode(&CL100K);
    for cut in 0..=text.len() {
        let (ids, places) = rendered.encode_cut(&CL100K, &[cut]);
        assert_eq!(places.len(), 1);
        // Inside a special token the template's text is no special token.
        assert_eq!(CL100K.decode(&ids[..places[0]]), text[..cut]);
        assert_eq!(CL100K.decode(&ids), text);
    }
    let ends = [0, "<|im_start|>".len(), text.len() - "<|im_end|>".len(), text.len()];
    assert_eq!(rendered.encode_cut(&CL100K, &ends), (whole.clone(), vec![0, 1, whole.len() - 1, whole.len()]));
}

#[test]
fn chatml_at_its_edges() {
    let cases: [(Turns, bool, &str); 6] = [
        (&[], true, "<|im_start|>assistant\n"),
        (&[], false, ""),
        (&[("system", " s ")], true, "<|im_start|>system\ns<|im_end|>\n<|im_start|>assistant\n"),
        (&[("system", "")], false, "<|im_start|>system\n<|im_end|>\n"),
        (&[("user", "")], false, "<|im_start|>user\n<|im_end|>"),
        // Only the first message is the system's text; a later one is a message like others, and not trimmed.
        (
            &[("user", "a"), ("system", " b ")],
            false,
            "<|im_start|>user\na<|im_end|>\n<|im_start|>system\n b <|im_end|>",
        ),
    ];
    for (messages, add_generation_prompt, expected) in cases {
        let options = ChatOptions { add_generation_prompt, ..ChatOptions::default() };
        let rendered = CL100K.chat_template().render(&CL100K, &chat(messages), &options).unwrap();
        assert_eq!(rendered.text(), expected);
    }
}

#[test]
fn the_default_system_prompt_only_fills_a_gap() {
    let options = ChatOptions { default_system_prompt: Some("D".to_owned()), ..ChatOptions::default() };
    let text =
        |messages: &[(&str, &str)]| CL100K.chat_template().render(&CL100K, &chat(messages), &options).unwrap().text();
    assert_eq!(text(&[("user", "a")]), "<|im_start|>system\nD<|im_end|>\n<|im_start|>user\na<|im_end|>");
    assert_eq!(
        text(&[("system", "S"), ("user", "a")]),
        "<|im_start|>system\nS<|im_end|>\n<|im_start|>user\na<|im_end|>"
    );
}

#[test]
fn messages_are_read_as_the_openai_api_writes_them() {
    let message: Message =
        serde_json::from_value(json!({"role": "assistant", "content": null, "tool_calls": []})).unwrap();
    assert_eq!((message.content.as_str(), message.tool_calls), ("", Some(json!([]))));
    assert_eq!(serde_json::to_value(Message::user("a")).unwrap(), json!({"role": "user", "content": "a"}));
}

// Template idioms of the families in use, each short enough to see what it must print.
const LLAMA_3: &str = "{% set loop_messages = messages %}{% for message in loop_messages %}\
    {% set content = '<|im_start|>' + message['role'] + '<|fim_prefix|>\n\n' + message['content'] | trim + '<|im_end|>' %}\
    {% if loop.index0 == 0 %}{% set content = bos_token + content %}{% endif %}{{ content }}{% endfor %}\
    {% if add_generation_prompt %}{{ '<|im_start|>assistant\n\n' }}{% endif %}";
const INSTRUCT: &str = "{{ bos_token }}{% for message in messages %}\
    {% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}\
    {{ raise_exception('Conversation roles must alternate user/assistant/user/assistant/...') }}{% endif %}\
    {% if message['role'] == 'user' %}{{ '[INST] ' + message['content'].strip() + ' [/INST]' }}\
    {% else %}{{ ' ' + message['content'].strip() + ' ' + eos_token }}{% endif %}{% endfor %}";
const THINKING: &str = "{%- for message in messages -%}{%- set content = message.content -%}\
    {%- if message.role == 'assistant' and '</think>' in content -%}\
    {%- set content = content.split('</think>')[-1].lstrip('\\n') -%}{%- endif -%}\
    <|im_start|>{{ message.role }}\n{{ content }}<|im_end|>{{ '\\n' }}{%- endfor -%}";

#[test]
fn idioms_of_other_templates() {
    let cases: [(&str, Turns, &str); 8] = [
        (
            LLAMA_3,
            &[("user", "  hi\n there "), ("assistant", "yes")],
            "<|endoftext|><|im_start|>user<|fim_prefix|>\n\nhi\n there<|im_end|>\
             <|im_start|>assistant<|fim_prefix|>\n\nyes<|im_end|><|im_start|>assistant\n\n",
        ),
        (
            INSTRUCT,
            &[("user", " a b "), ("assistant", "c"), ("user", "d")],
            "<|endoftext|>[INST] a b [/INST] c <|endoftext|>[INST] d [/INST]",
        ),
        (
            THINKING,
            &[("user", "a </think> b"), ("assistant", "<think>\nwell, well\n</think>\n\nso: it is")],
            "<|im_start|>user\na </think> b<|im_end|>\n<|im_start|>assistant\nso: it is<|im_end|>\n",
        ),
        ("{{ messages[0].content | upper }}", &[("user", "ab <b> ß")], "AB <B> SS"),
        ("{{ messages[0].content.title() if false else messages[0].content | lower }}", &[("user", "A B")], "a b"),
        (
            "{% for line in messages[0].content.splitlines() %}> {{ line }}\n{% endfor %}",
            &[("user", "a b\nc")],
            "> a b\n> c\n",
        ),
        ("{{ messages | length }}{{ messages[0].name is defined }}{{ none }}", &[("user", "a")], "1FalseNone"),
        (
            "{% for m in messages %}{% if loop.index > 1 %}{% break %}{% endif %}{{ m.content }}{% endfor %}",
            &[("user", "a"), ("user", "b")],
            "a",
        ),
    ];
    for (template, messages, expected) in cases {
        let text = render(template, &chat(messages), &ChatOptions::generation()).unwrap();
        assert_eq!(text, expected, "{template}");
    }
}

#[test]
fn jinja_as_transformers_sets_it_up() {
    let options = ChatOptions { now: Some(UNIX_EPOCH + Duration::from_secs(1_722_000_000)), ..ChatOptions::default() };
    let cases = [
        ("{{ strftime_now('%d %b %Y') }}", "26 Jul 2024"),
        ("  {% if true %}\nx\n  {% endif %}\ny", "x\ny"),
        ("a\n", "a"),
        ("{%- generation -%} b {%- endgeneration -%} c", "bc"),
        ("{% generation %}b{% endgeneration %}c", "bc"),
        ("{{ {'a': 1}.items() | list | length }}{{ 'ab'.startswith('a') }}", "1True"),
        ("{{ tools is none }}{{ eos_token }}{{ pad_token }}", "True<|endoftext|><|pad|>"),
        ("{{ '<b>' }}{{ '<|im_end|>' | trim }}", "<b><|im_end|>"),
    ];
    for (template, expected) in cases {
        assert_eq!(render(template, &chat(&[("user", "a")]), &options).unwrap(), expected, "{template}");
    }
}

#[test]
fn tools_are_shown_in_python_json() {
    let tool = json!({"type": "function", "function": {"name": "now", "description": "the time <|im_end|> in \"UTC\"",
        "parameters": {"type": "object", "properties": {"zone<|im_end|>": {"type": "string"}}, "required": []}}});
    let options = ChatOptions { tools: vec![tool], ..ChatOptions::default() };
    let template = ChatTemplate::new(
        "{% for tool in tools %}{{ tool | tojson }}{{ tool.function.name }}{% if tool.type == 'function' %}<|im_end|>{% endif %}{% endfor %}",
    )
    .unwrap();
    let rendered = template.render(&CL100K, &[], &options).unwrap();
    assert_eq!(
        rendered.text(),
        "{\"type\": \"function\", \"function\": {\"name\": \"now\", \"description\": \"the time <|im_end|> in \\\"UTC\\\"\", \
         \"parameters\": {\"type\": \"object\", \"properties\": {\"zone<|im_end|>\": {\"type\": \"string\"}}, \"required\": []}}}now<|im_end|>"
    );
    let specials = rendered.encode(&CL100K).into_iter().filter(|&id| CL100K.is_special(id)).count();
    assert_eq!(specials, 1, "only the template's own");
}

#[test]
fn a_template_for_tools_is_chosen_when_there_are_tools() {
    let named = |names: &[&str]| {
        ChatTemplate::named(names.iter().map(|name| ((*name).to_owned(), (*name).to_owned())).collect()).unwrap()
    };
    let text = |template: ChatTemplate, tools: Vec<Value>| {
        template.render(&CL100K, &[], &ChatOptions { tools, ..ChatOptions::default() }).map(|rendered| rendered.text())
    };
    assert_eq!(text(named(&["default", "tool_use"]), vec![]).unwrap(), "default");
    assert_eq!(text(named(&["default", "tool_use"]), vec![json!({})]).unwrap(), "tool_use");
    assert_eq!(text(named(&["default"]), vec![json!({})]).unwrap(), "default");
    assert_eq!(text(named(&["only"]), vec![]).unwrap(), "only");
    assert!(matches!(text(named(&["a", "b"]), vec![]), Err(TextError::NoTemplate)));
    assert!(matches!(text(ChatTemplate::none(), vec![]), Err(TextError::NoTemplate)));
}

/// Everything in `message` that a client can write.
fn hostile(text: &str) -> Message {
    Message {
        role: "user".to_owned(),
        content: text.to_owned(),
        name: Some(text.to_owned()),
        tool_calls: Some(json!([{"id": text, "function": {"name": text, "arguments": {text: [text]}}}])),
        tool_call_id: Some(text.to_owned()),
    }
}

const SHOW_ALL: &str = "{% for m in messages %}<|im_start|>{{ m.role }}|{{ m.name }}|{{ m.content }}|{{ m.content | trim }}|\
    {{ m.tool_call_id }}|{{ m.tool_calls | tojson }}<|im_end|>{% endfor %}";

#[test]
fn message_text_never_becomes_a_special_token() {
    let template = ChatTemplate::new(SHOW_ALL).unwrap();
    let tricks: Vec<String> = CL100K
        .special_tokens()
        .flat_map(|(_, content)| {
            let (head, tail) = content.split_at(content.len() / 2);
            [
                content.to_owned(),
                format!(" {content}\n{content}"),
                format!("{tail}{head}"),
                head.to_owned(),
                tail.to_owned(),
            ]
        })
        .chain(["\u{F0000}<|im_end|>\u{F0001}".to_owned(), "\u{F0001}\u{F0000}".to_owned()])
        .collect();
    for trick in tricks {
        let messages = [hostile(&trick), Message::new(trick.clone(), trick.clone())];
        for (template, own) in [(&template, 4), (CL100K.chat_template(), 4)] {
            let rendered = template.render(&CL100K, &messages, &ChatOptions::default()).unwrap();
            let ids = rendered.encode(&CL100K);
            assert_eq!(ids.iter().filter(|&&id| CL100K.is_special(id)).count(), own, "{trick:?}");
            assert_eq!(CL100K.decode(&ids), rendered.text(), "{trick:?}");
        }
    }
}

#[test]
fn template_and_message_together_make_no_special_token() {
    // The template writes the beginning, the message the end, and the other way round.
    let messages = chat(&[("user", "im_end|>"), ("user", "<|im_")]);
    let template = ChatTemplate::new("<|{{ messages[0].content }}{{ messages[1].content }}end|><|im_end|>").unwrap();
    let rendered = template.render(&CL100K, &messages, &ChatOptions::default()).unwrap();
    assert_eq!(rendered.text(), "<|im_end|><|im_end|><|im_end|>");
    let ids = rendered.encode(&CL100K);
    assert_eq!(ids.iter().filter(|&&id| CL100K.is_special(id)).count(), 1);
    assert_eq!(*ids.last().unwrap(), CL100K.special("<|im_end|>").unwrap());
}

#[test]
fn what_a_template_cuts_out_of_a_message_is_still_message_text() {
    let messages = chat(&[("user", "a,<|im_end|>,b /no_think c")]);
    for (template, expected) in [
        ("{{ messages[0].content.split(',')[1] }}<|im_end|>", "<|im_end|><|im_end|>"),
        ("{{ messages[0].content.replace('/no_think', '') | trim }}<|im_end|>", "a,<|im_end|>,b  c<|im_end|>"),
        (
            "{% if 'a,' in messages[0].content %}{{ messages[0].content.split()[0] }}{% endif %}<|im_end|>",
            "a,<|im_end|>,b<|im_end|>",
        ),
    ] {
        let template = ChatTemplate::new(template).unwrap();
        let rendered = template.render(&CL100K, &messages, &ChatOptions::default()).unwrap();
        assert_eq!(rendered.text(), expected);
        let ids = rendered.encode(&CL100K);
        assert_eq!(ids.iter().filter(|&&id| CL100K.is_special(id)).count(), 1);
    }
}

#[test]
fn templates_that_rewrite_message_text_are_refused() {
    let cases = [
        "{{ messages[0].content | reverse }}",
        "{{ messages[0].content[:3] }}",
        "{{ messages[0].content[4:] }}",
        "{{ messages[0].content | urlencode }}{{ messages[0].content | length }}",
        "{{ messages[0].content | title }}",
        "{{ messages[0].content | replace('im', '') }}{{ messages[0].content.split('|')[1] }}",
        "{{ messages[0].content }}{{ '\\ue000' }}",
        "{% if messages[0].content | length == 14 %}a{% endif %}",
    ];
    for template in cases {
        match render(template, &chat(&[("user", "a <|im_end|> b")]), &ChatOptions::default()) {
            Err(TextError::Untraceable { .. } | TextError::Template { .. }) => {}
            other => panic!("{template}: {other:?}"),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_message_text_stays_text(
        texts in prop::collection::vec(
            prop::collection::vec(prop_oneof![
                prop::sample::select(vec!["<|im_end|>", "<|im_", "end|>", "<|", "|>", "<", ">", " ", "\n", "</think>", "<think>", "\u{F0000}", "im_end"]).prop_map(str::to_owned),
                any::<String>(),
            ], 0..6).prop_map(|parts| parts.concat()),
            1..4,
        )
    ) {
        let messages: Vec<Message> = texts.iter().map(|text| hostile(text)).collect();
        for (template, own) in [(ChatTemplate::new(SHOW_ALL).unwrap(), 2), (ChatTemplate::chatml(), 2)] {
            let rendered = template.render(&CL100K, &messages, &ChatOptions::default()).unwrap();
            let ids = rendered.encode(&CL100K);
            prop_assert_eq!(ids.iter().filter(|&&id| CL100K.is_special(id)).count(), own * messages.len());
            prop_assert_eq!(CL100K.decode(&ids), rendered.text());
        }
    }

    #[test]
    fn pieces_say_what_came_from_messages(text in "[a-z <|>\n]{0,30}") {
        // The letters of the template's own literals, such as `role`, cannot be part of a special token and stay bare.
        prop_assume!(!text.contains("role"));
        let rendered = CL100K.chat_template().render(&CL100K, &[Message::user(&*text)], &ChatOptions::default()).unwrap();
        let content: String = rendered.pieces().iter().filter(|piece| piece.content).map(|piece| &*piece.text).collect();
        let words: String = text.split_whitespace().collect();
        prop_assert_eq!(content, words);
    }
}

#[test]
fn templates_that_run_away_are_stopped() {
    let messages = chat(&[("user", "a")]);
    let deep = format!("{{{{ {}1{} }}}}", "(".repeat(100_000), ")".repeat(100_000));
    let cases: [(&str, &str); 10] = [
        ("{% for i in range(10**9) %}x{% endfor %}", "range"),
        ("{% for i in range(100000) %}{% for j in range(100000) %}{% endfor %}{% endfor %}", "fuel"),
        ("{% for i in range(100000) %}{{ 'x' * 1000000 }}{% endfor %}", "bytes"),
        ("{{ 'x' * 10**9 }}", "large"),
        ("{% macro f(n) %}{{ f(n + 1) }}{% endmacro %}{{ f(0) }}", "recursion"),
        ("{% macro f() %}{{ f() }}{{ f() }}{% endmacro %}{{ f() }}", "recursion"),
        (&deep, "recursion"),
        ("{% include 'default' %}", "recursion"),
        ("{% include '/etc/passwd' %}", "non-existing template"),
        ("{% import 'os' as os %}", "non-existing template"),
    ];
    for (template, reason) in cases {
        let error = render(template, &messages, &ChatOptions::default()).unwrap_err().to_string();
        assert!(error.contains(reason), "{}: {error}", &template[..template.len().min(60)]);
    }
}

#[test]
fn errors_say_where_and_why() {
    let messages = chat(&[("user", "a"), ("user", "b")]);
    let refused = render(INSTRUCT, &messages, &ChatOptions::default()).unwrap_err();
    assert!(matches!(&refused, TextError::Refused(reason) if reason.starts_with("Conversation roles must alternate")));
    for (template, expected) in [
        ("a\n{% if %}", "chat template `default`, line 2"),
        ("{{ nonsense() }}", "nonsense is unknown"),
        ("{{ messages[0].nothing.at_all }}", "undefined"),
        ("{{ strftime_now('%Q') }}", "cannot read the format"),
        ("{{ 1 | tojson(ensure_ascii=true) }}", "ensure_ascii"),
    ] {
        let error = render(template, &messages, &ChatOptions::default()).unwrap_err().to_string();
        assert!(error.contains(expected), "{template}: {error}");
    }
}
