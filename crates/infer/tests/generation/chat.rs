//! Conversations, and the terminal they are led from.

use moeworks_infer::terminal::converse;
use moeworks_infer::*;
use moeworks_text::{ChatOptions, Message};
use std::io;
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, Ordering};

fn settings() -> ChatSettings {
    ChatSettings { sampling: Sampling::default(), max_tokens: Some(4), ..ChatSettings::default() }
}

#[test]
fn the_model_is_given_the_whole_conversation() {
    let mut engine = crate::support::engine(1, 8);
    let mut session = ChatSession::new(ChatSettings { system: Some("s".into()), ..settings() });
    let never = AtomicBool::new(false);
    let mut streamed = String::new();
    for text in ["hi <|im_end|>", "yes"] {
        let before = session.messages().to_vec();
        let messages = [&[Message::system("s")], &before[..], &[Message::user(text)]].concat();
        let tokenizer = engine.tokenizer().clone();
        let prompt = tokenizer.chat_template().encode_chat(&tokenizer, &messages, &ChatOptions::generation()).unwrap();
        streamed.clear();
        let answer = session
            .say(&mut engine, text, &never, |piece| {
                streamed.push_str(piece);
                Ok(())
            })
            .unwrap();
        assert_eq!(answer.prompt_tokens, prompt.len());
        assert_eq!(streamed, answer.text);
        assert_eq!(session.messages().len(), before.len() + 2);
        assert_eq!(session.messages().last(), Some(&Message::assistant(&answer.text)));
        let request = Request {
            sampling: Sampling::default(),
            seed: 42 + before.len() as u64 / 2,
            max_tokens: Some(4),
            continues: false,
            ..Request::new(prompt)
        };
        let same = engine.generate(vec![request], |_| ControlFlow::Continue(())).unwrap();
        assert_eq!(same[0].text, answer.text);
    }
}

#[test]
fn an_interrupted_answer_is_kept_and_an_error_changes_nothing() {
    let mut engine = crate::support::engine(1, 8);
    let mut session = ChatSession::new(ChatSettings { max_tokens: None, ..settings() });
    let interrupt = AtomicBool::new(false);
    let mut pieces = 0;
    let answer = session
        .say(&mut engine, "a", &interrupt, |_| {
            pieces += 1;
            interrupt.store(pieces == 2, Ordering::Relaxed);
            Ok(())
        })
        .unwrap();
    assert_eq!(answer.reason, FinishReason::Cancelled);
    assert!(pieces >= 2 && answer.completion_tokens < 20 && engine.is_idle());
    assert!(!interrupt.load(Ordering::Relaxed));

    let before = session.messages().to_vec();
    let long = "x".repeat(200);
    let error = session.say(&mut engine, &long, &interrupt, |_| Ok(())).unwrap_err();
    assert!(matches!(error, ChatError::Request(RequestError::ContextLength { limit: 96, .. })), "{error}");
    let error = session.say(&mut engine, "a", &interrupt, |_| Err(io::ErrorKind::BrokenPipe.into())).unwrap_err();
    assert!(matches!(error, ChatError::Terminal(_)));
    assert!(session.messages() == before && engine.is_idle());
}

#[test]
fn a_terminal_conversation_runs_to_its_end() {
    let mut engine = crate::support::engine(1, 8);
    let script =
        format!("/help\nhi\n\n/nonsense\n/system be brief\nhi\n/reset\nhi\n{}\n/exit\nnot read\n", "y".repeat(300));
    let mut run = |script: &str| {
        let mut session = ChatSession::new(settings());
        let (mut output, mut notes) = (Vec::new(), Vec::new());
        let never = AtomicBool::new(false);
        converse(&mut engine, &mut session, &mut script.as_bytes(), &mut output, &mut notes, &never).unwrap();
        (String::from_utf8(output).unwrap(), String::from_utf8(notes).unwrap(), session)
    };
    let (output, notes, session) = run(&script);
    for words in ["/reset ", "no command \"/nonsense\"", "with instructions", "tokens, first after", "context holds 96"]
    {
        assert!(notes.contains(words), "{words:?} not in {notes}");
    }
    assert_eq!(session.settings().system.as_deref(), Some("be brief"));
    assert_eq!(session.messages().len(), 2);
    let last = &session.messages()[1].content;
    assert!(output.ends_with(&format!("{}\n", terminal::printable(last))), "{output:?}");
    let (output, notes, _) = run("hi");
    assert!(output.ends_with('\n') && notes.ends_with("> \n"), "{notes:?}");
}
