//! Parquet files: every way in which a writer may store strings, folders as Spark leaves them, and damaged files.

mod support;

use moeworks_data::{DataError, Document, Reason, Reject, RowFiles, Source, documents};
use parquet::{
    basic::{Compression, Encoding},
    data_type::{ByteArray, ByteArrayType, Int64Type},
    file::{
        properties::{WriterProperties, WriterVersion},
        writer::SerializedFileWriter,
    },
    schema::parser::parse_message_type,
};
use proptest::prelude::*;
use std::{collections::BTreeMap, fs, path::Path, sync::Arc};
use support::{plant, read};

const SCHEMA: &str = "message rows {
    optional binary license (UTF8);
    optional group body { optional binary text (UTF8); required int64 n; }
    required binary raw;
    optional group tags (LIST) { repeated group list { optional binary element (UTF8); } }
}";

/// Text and licence of each row.
type Rows<'a> = &'a [(Option<&'a str>, Option<&'a str>)];

/// Row groups of at most `group` rows.
fn write(rows: Rows, group: usize, properties: WriterProperties) -> Vec<u8> {
    let schema = Arc::new(parse_message_type(SCHEMA).unwrap());
    let mut bytes = Vec::new();
    let mut writer = SerializedFileWriter::new(&mut bytes, schema, Arc::new(properties)).unwrap();
    let present = |cell: &Option<&str>| cell.map(ByteArray::from);
    for rows in rows.chunks(group) {
        let licences: Vec<ByteArray> = rows.iter().filter_map(|(_, licence)| present(licence)).collect();
        let licence_levels: Vec<i16> = rows.iter().map(|(_, licence)| i16::from(licence.is_some())).collect();
        let texts: Vec<ByteArray> = rows.iter().filter_map(|(text, _)| present(text)).collect();
        // The group is absent in every second row without a text.
        let text_levels: Vec<i16> =
            rows.iter().enumerate().map(|(n, (text, _))| if text.is_some() { 2 } else { n as i16 % 2 }).collect();
        let n_levels: Vec<i16> = text_levels.iter().map(|&level| level.min(1)).collect();
        let numbers: Vec<i64> = n_levels.iter().filter(|&&level| level == 1).map(|_| 7).collect();
        let raw: Vec<ByteArray> = rows.iter().map(|_| ByteArray::from(vec![0xff])).collect();
        let none = vec![0; rows.len()];
        let mut group = writer.next_row_group().unwrap();
        for (values, levels, repeats) in [(licences, licence_levels, None), (texts, text_levels, None)] {
            let mut column = group.next_column().unwrap().unwrap();
            column.typed::<ByteArrayType>().write_batch(&values, Some(&levels), repeats).unwrap();
            column.close().unwrap();
        }
        let mut column = group.next_column().unwrap().unwrap();
        column.typed::<Int64Type>().write_batch(&numbers, Some(&n_levels), None).unwrap();
        column.close().unwrap();
        for (values, levels, repeats) in [(raw, None, None), (vec![], Some(&none[..]), Some(&none[..]))] {
            let mut column = group.next_column().unwrap().unwrap();
            column.typed::<ByteArrayType>().write_batch(&values, levels, repeats).unwrap();
            column.close().unwrap();
        }
        group.close().unwrap();
    }
    writer.close().unwrap();
    bytes
}

fn plain() -> WriterProperties {
    WriterProperties::builder().build()
}

fn source(path: &Path) -> RowFiles {
    RowFiles { text_key: "body.text".into(), ..RowFiles::new(path.into()) }
}

fn read_parquet(parquet: RowFiles) -> Result<(Vec<Document>, Vec<Reject>), DataError> {
    read(&Source::Parquet(parquet))
}

#[test]
fn every_way_of_storing_strings_is_read() {
    let long = "x".repeat(3000);
    let rows: Vec<(Option<&str>, Option<&str>)> = (0..2500)
        .map(|n| match n % 5 {
            0 => (Some("same"), Some("MIT")),
            1 => (None, Some("MIT")),
            2 => (Some(long.as_str()), None),
            3 => (Some(" \n"), None),
            _ => (Some("na\u{ef}ve"), Some("")),
        })
        .collect();
    let codecs = [
        Compression::UNCOMPRESSED,
        Compression::SNAPPY,
        Compression::GZIP(Default::default()),
        Compression::BROTLI(Default::default()),
        Compression::LZ4,
        Compression::LZ4_RAW,
        Compression::ZSTD(Default::default()),
    ];
    let encodings =
        [None, Some(Encoding::PLAIN), Some(Encoding::DELTA_LENGTH_BYTE_ARRAY), Some(Encoding::DELTA_BYTE_ARRAY)];
    let versions = [WriterVersion::PARQUET_1_0, WriterVersion::PARQUET_2_0];
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("rows.parquet");
    let ways = codecs.into_iter().map(|codec| (codec, None, versions[0])).chain(
        encodings.into_iter().flat_map(|encoding| versions.map(|version| (Compression::SNAPPY, encoding, version))),
    );
    for (codec, encoding, version) in ways {
        let builder = WriterProperties::builder()
            .set_compression(codec)
            .set_writer_version(version)
            .set_data_page_row_count_limit(100);
        let builder = match encoding {
            // Of the column of numbers, deltas of byte arrays cannot be asked.
            Some(encoding) => ["license", "body.text", "raw"]
                .into_iter()
                .fold(builder.set_dictionary_enabled(false), |builder, column| {
                    builder.set_column_encoding(column.into(), encoding)
                }),
            None => builder,
        };
        fs::write(&path, write(&rows, 700, builder.build())).unwrap();
        let (documents, rejects) = read_parquet(RowFiles { licence: Some("CC0-1.0".into()), ..source(&path) }).unwrap();
        let way = format!("{codec:?} {encoding:?} {version:?}");
        assert_eq!((documents.len(), rejects.len()), (1500, 1000), "{way}");
        for (n, document) in documents.iter().enumerate() {
            let row = n / 3 * 5 + [0, 2, 4][n % 3];
            let (text, licence) = rows[row];
            assert_eq!(document.path, format!("rows.parquet#{}", row + 1), "{way}");
            assert_eq!(document.text, text.unwrap(), "{way}");
            let licence = licence.filter(|licence| !licence.is_empty()).unwrap_or("CC0-1.0");
            assert_eq!(document.licence.as_deref(), Some(licence), "{way}");
        }
        let reasons: Vec<_> = rejects.iter().take(2).map(|r| (r.row.unwrap(), r.reason.clone())).collect();
        let null = Reason::NoText { detail: "\"body.text\" is null".into() };
        assert_eq!(reasons, [(2, null), (4, Reason::Empty)], "{way}");
    }
}

#[test]
fn a_folder_as_spark_leaves_it() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("dump");
    let file = |text: &str, licence: Option<&str>| write(&[(Some(text), licence)], 1, plain());
    plant(
        &root,
        &[
            ("_SUCCESS", b""),
            ("._SUCCESS.crc", b"crc"),
            ("_temporary/0/part-9.parquet", b"half written"),
            ("language=en/part-00001-a.snappy.parquet", &file("two", None)),
            ("language=en/part-00000-a.snappy.parquet", &file("one", Some("MIT"))),
            ("language=en/.part-00000-a.snappy.parquet.crc", b"crc"),
            ("language=__HIVE_DEFAULT_PARTITION__/part-0.parquet", &file("three", None)),
            ("language=pt%2DBR/license=BSD/part-0.parquet", &file("four", Some("the column decides"))),
            ("_batch=7/part-0.parquet", &file("zero", None)),
        ],
    );
    assert!(matches!(Source::at(&root).unwrap(), Source::Parquet(_)));
    assert!(matches!(Source::at(&root.join("_batch=7/part-0.parquet")).unwrap(), Source::Parquet(_)));
    let (documents, rejects) = read_parquet(source(&root)).unwrap();
    assert!(rejects.is_empty(), "{rejects:?}");
    let found: Vec<_> = documents
        .iter()
        .map(|d| (d.text.as_str(), d.language.as_deref(), d.licence.as_deref(), d.source.as_str()))
        .collect();
    assert_eq!(
        found,
        [
            ("zero", None, None, "dump"),
            ("three", None, None, "dump"),
            ("one", Some("en"), Some("MIT"), "dump"),
            ("two", Some("en"), None, "dump"),
            ("four", Some("pt-BR"), Some("the column decides"), "dump"),
        ]
    );
    assert_eq!(documents[2].path, "language=en/part-00000-a.snappy.parquet#1");
    let stamps = documents::stamp(&Source::Parquet(source(&root))).unwrap();
    let files: Vec<String> = documents.iter().map(|d| d.path.trim_end_matches("#1").to_owned()).collect();
    assert_eq!(stamps.into_iter().map(|stamp| stamp.path).collect::<Vec<_>>(), files);

    let by_folder = RowFiles { licence_key: "language".into(), path_key: "license".into(), ..source(&root) };
    let (documents, _) = read_parquet(by_folder).unwrap();
    assert_eq!(documents[2].licence.as_deref(), Some("en"));
    assert_eq!(documents[2].path, "language=en/part-00000-a.snappy.parquet#1 MIT");

    fs::remove_dir_all(&root).unwrap();
    plant(&root, &[("_SUCCESS", b"")]);
    assert!(read_parquet(source(&root)).unwrap_err().to_string().contains("no .parquet file"));
}

#[test]
fn columns_that_cannot_be_texts_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("rows.parquet");
    fs::write(&path, write(&[(Some("one"), None), (Some("long enough"), None)], 2, plain())).unwrap();
    for (key, expected) in [
        ("text", "no column \"text\" among license, body.text, body.n, raw, tags.list.element"),
        ("body", "no column \"body\" among"),
        ("body.n", "column \"body.n\" holds INT64, no strings"),
        ("tags.list.element", "column \"tags.list.element\" is a list"),
    ] {
        let (documents, rejects) = read_parquet(RowFiles { text_key: key.into(), ..source(&path) }).unwrap();
        assert!(documents.is_empty() && rejects.len() == 1 && rejects[0].row.is_none(), "{rejects:?}");
        assert!(rejects[0].to_string().contains(expected), "{}", rejects[0]);
    }
    let (_, rejects) = read_parquet(RowFiles { text_key: "raw".into(), ..source(&path) }).unwrap();
    assert_eq!(rejects[1].reason, Reason::InvalidUtf8 { offset: 0 });
    let (documents, rejects) = read_parquet(RowFiles { max_row_bytes: 5, ..source(&path) }).unwrap();
    assert_eq!(documents[0].text, "one");
    assert_eq!((rejects[0].row, &rejects[0].reason), (Some(2), &Reason::TooLarge { limit: 5 }));
}

#[test]
fn a_damaged_file_is_one_reject_and_the_others_go_on() {
    let folder = tempfile::tempdir().unwrap();
    let rows: Vec<(Option<&str>, Option<&str>)> = (0..200).map(|_| (Some("some text"), Some("MIT"))).collect();
    let whole = write(&rows, 100, plain());
    let mut bad_footer = whole.clone();
    let at = whole.len() - 8;
    bad_footer[at..at + 4].copy_from_slice(&u32::MAX.to_le_bytes());
    let mut bad_page = whole.clone();
    bad_page[4..40].fill(0xee);
    plant(
        folder.path(),
        &[
            ("a.parquet", &whole[..whole.len() / 2]),
            ("b.parquet", b""),
            ("c.parquet", b"PAR1PAR1"),
            ("d.parquet", &bad_footer),
            ("e.parquet", &bad_page),
            ("f.parquet", &whole),
        ],
    );
    let (documents, rejects) = read_parquet(source(folder.path())).unwrap();
    let bad: BTreeMap<_, _> = rejects.iter().map(|r| (r.path.as_str(), r.reason.name())).collect();
    assert_eq!(
        bad.into_iter().collect::<Vec<_>>(),
        ["a", "b", "c", "d", "e"]
            .map(|n| (format!("{n}.parquet"), "unreadable"))
            .iter()
            .map(|(path, name)| (path.as_str(), *name))
            .collect::<Vec<_>>()
    );
    assert_eq!(rejects.len(), 5);
    assert_eq!(documents.len(), 200);
    assert!(documents.iter().all(|d| d.path.starts_with("f.parquet#")));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn rows_come_back_as_they_went_in(
        rows in prop::collection::vec((prop::option::of("[a-c\u{e9}]{1,9}"), prop::option::of("[A-Z]{1,3}")), 1..60),
        group in 1_usize..20,
    ) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("rows.parquet");
        let borrowed: Vec<_> = rows.iter().map(|(text, licence)| (text.as_deref(), licence.as_deref())).collect();
        fs::write(&path, write(&borrowed, group, plain())).unwrap();
        let (documents, rejects) = read_parquet(source(&path)).unwrap();
        let expected: Vec<_> = rows.iter().filter_map(|(text, licence)| Some((text.clone()?, licence.clone()))).collect();
        prop_assert_eq!(rejects.len(), rows.len() - expected.len());
        prop_assert_eq!(documents.into_iter().map(|d| (d.text, d.licence)).collect::<Vec<_>>(), expected);
    }

    /// Bytes set, and the file cut: rows or rejects, never a panic, and no more rows than there are.
    #[test]
    fn damage_never_panics(
        edits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        cut in prop::option::weighted(0.2, any::<prop::sample::Index>()),
    ) {
        let rows: Vec<(Option<&str>, Option<&str>)> =
            (0..50).map(|n| (if n % 4 == 0 { None } else { Some("some text") }, Some("MIT"))).collect();
        let mut bytes = write(&rows, 20, plain());
        for (at, byte) in edits {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        if let Some(cut) = cut {
            bytes.truncate(cut.index(bytes.len()));
        }
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("rows.parquet");
        fs::write(&path, bytes).unwrap();
        let (documents, rejects) = read_parquet(source(&path)).unwrap();
        prop_assert!(!documents.is_empty() || !rejects.is_empty());
    }
}
