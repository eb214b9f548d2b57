//! Sources in S3, against a small server of our own that misbehaves on request. The environment says where it is, so
//! that each reading is a process of its own.
#![cfg(feature = "remote")]

mod support;

use moeworks_data::{DocumentId, Source, documents};
use std::{
    collections::{BTreeMap, HashMap},
    env,
    io::{BufRead, BufReader, Write},
    net::{TcpListener, TcpStream},
    path::Path,
    process::Command,
    sync::{Arc, Mutex},
    thread,
};

const SECRET: &str = "a-very-secret-key";

/// What the server does with a key, besides giving its content.
#[derive(Clone, Copy, PartialEq)]
enum Fault {
    None,
    /// Half of the content, the first time.
    Cut,
    /// Status 500, the first time.
    Busy,
    /// Fewer bytes than the list says.
    Short,
    /// Not found, though listed.
    Gone,
    /// Another entity tag than the list says.
    Other,
    /// Status 403.
    Forbidden,
}

struct Server {
    objects: BTreeMap<String, (String, Fault)>,
    /// Requests of each key so far, with their ranges.
    log: Mutex<HashMap<String, Vec<String>>>,
}

/// Starts a server of these objects in a bucket; returns its address.
fn serve(objects: &[(&str, &str, Fault)]) -> (String, Arc<Server>) {
    let objects = objects.iter().map(|(key, text, fault)| ((*key).into(), ((*text).into(), *fault))).collect();
    let server = Arc::new(Server { objects, log: Mutex::default() });
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let shared = server.clone();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let (server, stream) = (shared.clone(), stream.unwrap());
            thread::spawn(move || server.answer(stream));
        }
    });
    (address, server)
}

fn tag(text: &str) -> String {
    format!("\"{}\"", DocumentId::of(text))
}

impl Server {
    fn answer(&self, stream: TcpStream) {
        let mut lines = BufReader::new(&stream).lines().map_while(Result::ok);
        let request = lines.next().unwrap_or_default();
        let headers: Vec<String> = lines.take_while(|line| !line.is_empty()).map(|line| line.to_lowercase()).collect();
        let range = headers.iter().find_map(|line| line.strip_prefix("range: bytes="));
        let (method, target) = request.split_once(' ').unwrap_or_default();
        let target = target.split(' ').next().unwrap_or_default();
        match target.split_once('?') {
            Some((_, query)) => self.list(&stream, query),
            None => self.object(&stream, method, target.trim_start_matches("/bucket/"), range),
        }
    }

    /// ListObjectsV2, two keys a page.
    fn list(&self, stream: &TcpStream, query: &str) {
        let parameter = |name: &str| {
            let value = query.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='));
            value.map(|value| value.replace("%2F", "/"))
        };
        let prefix = parameter("prefix").unwrap_or_default();
        let after = parameter("continuation-token").unwrap_or_default();
        let mut keys = self.objects.iter().filter(|(key, _)| key.starts_with(&prefix) && **key > after);
        let page: Vec<_> = keys.by_ref().take(2).collect();
        let more = keys.next().is_some();
        let mut xml = format!("<ListBucketResult><Name>bucket</Name><IsTruncated>{more}</IsTruncated>");
        for (key, (text, _)) in &page {
            xml += &format!(
                "<Contents><Key>{key}</Key><LastModified>2024-01-02T03:04:05.000Z</LastModified><ETag>{}</ETag>\
                 <Size>{}</Size></Contents>",
                tag(text).replace('"', "&quot;"),
                text.len()
            );
        }
        if let (true, Some((key, _))) = (more, page.last()) {
            xml += &format!("<NextContinuationToken>{key}</NextContinuationToken>");
        }
        respond(stream, "200 OK", "", (xml + "</ListBucketResult>").as_bytes(), None);
    }

    fn object(&self, stream: &TcpStream, method: &str, key: &str, range: Option<&str>) {
        let Some((text, fault)) = self.objects.get(key) else {
            return respond(stream, "404 Not Found", "", b"", None);
        };
        let is_first = {
            let mut log = self.log.lock().unwrap();
            let requests = log.entry(key.to_owned()).or_default();
            requests.push(range.unwrap_or("all").to_owned());
            requests.len() == 1
        };
        let (mut body, mut status, mut extra) = (text.as_bytes(), "200 OK", String::new());
        match fault {
            Fault::Gone => return respond(stream, "404 Not Found", "", b"", None),
            Fault::Forbidden => return respond(stream, "403 Forbidden", "", b"", None),
            Fault::Busy if is_first => return respond(stream, "500 Internal Server Error", "", b"", None),
            Fault::Short => body = &body[..body.len() / 2],
            _ => {}
        }
        if let Some((from, to)) = range.and_then(|range| range.split_once('-')) {
            let (from, to): (usize, usize) = (from.parse().unwrap(), to.parse().unwrap());
            extra = format!("Content-Range: bytes {from}-{to}/{}\r\n", body.len());
            (status, body) = ("206 Partial Content", &body[from..=to]);
        }
        let tag = if *fault == Fault::Other { tag("other") } else { tag(text) };
        extra += &format!("ETag: {tag}\r\nLast-Modified: Tue, 02 Jan 2024 03:04:05 GMT\r\n");
        let sent = match (method, *fault) {
            ("HEAD", _) => Some(0),
            (_, Fault::Cut) if is_first => Some(body.len() / 2),
            _ => None,
        };
        respond(stream, status, &extra, body, sent);
    }
}

/// A response, of whose body `sent` bytes are really sent.
fn respond(mut stream: &TcpStream, status: &str, headers: &str, body: &[u8], sent: Option<usize>) {
    let length = body.len();
    let head = format!("HTTP/1.1 {status}\r\n{headers}Content-Length: {length}\r\nConnection: close\r\n\r\n");
    let body = &body[..sent.unwrap_or(length)];
    // A client that has gone is none of the server's business.
    let _ = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(body));
}

/// What a process with the server in its environment reads from a URL: `path text` lines, or an error.
fn read(address: &str, url: &str) -> Result<Vec<String>, String> {
    let output = Command::new(env::current_exe().unwrap())
        .args(["a_process_of_its_own", "--exact", "--ignored", "--nocapture"])
        .env("AWS_ENDPOINT", address)
        .env("AWS_ALLOW_HTTP", "true")
        .env("AWS_ACCESS_KEY_ID", "somebody")
        .env("AWS_SECRET_ACCESS_KEY", SECRET)
        .env("AWS_REGION", "us-east-1")
        .env("NO_PROXY", "127.0.0.1")
        .env("SOURCE_URL", url)
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(!text.contains(SECRET), "{text}");
    assert!(output.status.success(), "{text}");
    let lines =
        |kind: &str| text.lines().filter_map(|line| line.strip_prefix(kind)).map(str::to_owned).collect::<Vec<_>>();
    match lines("error: ").pop() {
        Some(error) => Err(error),
        None => Ok(lines("found: ")),
    }
}

#[test]
#[ignore = "run by the other tests, each with its environment"]
fn a_process_of_its_own() {
    let url = env::var("SOURCE_URL").unwrap();
    println!();
    let found = Source::at(Path::new(&url)).and_then(|source| support::read(&source));
    match found {
        Ok((documents, rejects)) => {
            documents.iter().for_each(|document| println!("found: {} {}", document.path, document.text));
            rejects.iter().for_each(|reject| println!("found: {reject}"));
        }
        Err(error) => println!("error: {error}"),
    }
}

#[test]
fn a_bucket_is_read_through_cuts_and_errors_of_the_server() {
    let long = "0123456789".repeat(5000);
    let (address, server) = serve(&[
        ("docs/a/2.txt", "two", Fault::Busy),
        ("docs/a-b/3.txt", "three", Fault::None),
        ("docs/a/1.txt", &long, Fault::Cut),
        ("docs/z.txt", "last", Fault::None),
        ("elsewhere/x.txt", "not below the prefix", Fault::None),
    ]);
    let expected = [&format!("a/1.txt {long}"), "a/2.txt two", "a-b/3.txt three", "z.txt last"];
    assert_eq!(read(&address, "s3://bucket/docs").unwrap(), expected);
    let log = server.log.lock().unwrap();
    assert_eq!(log["docs/a/1.txt"], ["all", "25000-49999"]);
    assert_eq!(log["docs/a/2.txt"], ["all", "all"]);
    assert!(!log.contains_key("elsewhere/x.txt"));
}

#[test]
fn rows_and_single_objects_are_read() {
    let (address, _) = serve(&[
        ("rows/a.jsonl", "{\"text\": \"one\"}\nno row\n", Fault::None),
        ("rows/b.jsonl", "{\"text\": \"two\"}\n", Fault::Cut),
    ]);
    let reject = "rows: a.jsonl, row 2: no JSON object: expected ident at line 1 column 2";
    assert_eq!(read(&address, "s3://bucket/rows/").unwrap(), ["a.jsonl#1 one", "b.jsonl#1 two", reject]);
    assert_eq!(read(&address, "s3://bucket/rows/b.jsonl").unwrap(), ["b.jsonl#1 two"]);
    assert_eq!(read(&address, &format!("{address}/bucket/rows/b.jsonl")).unwrap(), ["b.jsonl#1 two"]);
}

#[test]
fn what_was_listed_must_be_what_is_read() {
    for (fault, expected) in [
        (Fault::Short, "changed while the source was read: listed were 4 bytes"),
        (Fault::Other, "changed while the source was read: listed were 4 bytes"),
        (Fault::Gone, "it was listed and is gone"),
        (Fault::Forbidden, "s3://bucket/docs/b.txt: "),
    ] {
        let (address, _) = serve(&[("docs/a.txt", "aaaa", Fault::None), ("docs/b.txt", "bbbb", fault)]);
        let error = read(&address, "s3://bucket/docs").unwrap_err();
        assert!(error.contains("s3://bucket/docs/b.txt") && error.contains(expected), "{error}");
    }
    let (address, _) = serve(&[]);
    assert!(read(&address, "s3://bucket/docs").unwrap_err().contains("there is nothing below this URL"));
}

#[test]
fn secrets_in_urls_are_refused_and_not_repeated() {
    for url in ["https://user:hidden@host/x", "https://account.blob.core.windows.net/c/x?sig=hidden"] {
        let error = Source::at(Path::new(url)).unwrap_err().to_string();
        assert!(error.contains("password or a query") && !error.contains("hidden"), "{error}");
    }
    assert!(documents::open(&Source::Tree(moeworks_data::Tree::new("ftp://host/x".into()))).is_err());
}
