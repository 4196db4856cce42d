//! What every [`Blobs`] keeps.

use bytes::Bytes;
use dream_core::ports::{Blob, BlobKey, Blobs, ByteRange, Failure, FailureKind, MAX_PIECE};
use futures_util::{StreamExt, TryStreamExt, stream};

use super::{LONG, SOON};

/// Requests under way at once where a case makes many.
const AT_ONCE: usize = 32;

/// Runs every case. The store must be empty and must not be used by others meanwhile.
///
/// ```
/// # #[tokio::main]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use dream_core::adapters::DiskBlobs;
/// use dream_testkit::conformance;
///
/// # let folder = tempfile::tempdir()?;
/// // The test of a storage of one's own, in place of this one.
/// let blobs = DiskBlobs::open(folder.path(), "https://dream.example/uploads").await?;
/// conformance::blobs::all(&blobs).await?;
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// What the store failed with.
///
/// # Panics
/// If a promise is broken.
pub async fn all(blobs: &dyn Blobs) -> Result<(), Failure> {
    all_but_signatures(blobs).await?;
    only_the_promised_upload_is_let_in(blobs).await
}

/// Runs every case but the one about signed uploads, for stand-ins of S3 that let everybody in.
///
/// ```
/// # #[tokio::main]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use dream_core::adapters::DiskBlobs;
/// use dream_testkit::conformance;
///
/// # let folder = tempfile::tempdir()?;
/// // A disk signs no uploads, so that nothing is left out of it here.
/// let blobs = DiskBlobs::open(folder.path(), "https://dream.example/uploads").await?;
/// assert!(conformance::blobs::all_but_signatures(&blobs).await.is_ok());
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// What the store failed with.
///
/// # Panics
/// If a promise is broken.
pub async fn all_but_signatures(blobs: &dyn Blobs) -> Result<(), Failure> {
    what_was_never_put_is_absent(blobs).await?;
    what_was_put_is_read_at_once(blobs).await?;
    putting_again_replaces_all_of_it(blobs).await?;
    an_object_may_be_empty_or_large(blobs).await?;
    any_name_of_the_alphabet_will_do(blobs).await?;
    a_part_is_read_by_its_range(blobs).await?;
    a_range_outside_of_the_object_is_refused(blobs).await?;
    a_reader_yields_small_pieces_that_add_up(blobs).await?;
    metadata_is_read_alone_and_is_the_readers(blobs).await?;
    a_reader_never_mixes_two_versions(blobs).await?;
    what_was_deleted_is_gone(blobs).await?;
    of_puts_at_once_one_is_read_whole(blobs).await?;
    a_listing_is_in_the_order_of_names(blobs).await?;
    a_listing_goes_on_behind_a_name(blobs).await?;
    a_long_listing_comes_in_parts(blobs).await?;
    a_public_url_leads_back_to_its_object(blobs);
    Ok(())
}

fn key(name: &str) -> BlobKey {
    let parsed = name.parse();
    assert!(parsed.is_ok(), "{name} is no name");
    parsed.unwrap_or_else(|_| unreachable!("it was just looked at"))
}

async fn read(blobs: &dyn Blobs, key: &BlobKey) -> Result<Option<Bytes>, Failure> {
    Ok(blobs.get(key, None).await?.map(|blob| blob.bytes))
}

/// Absence is an answer and no failure, also below a name that is an object.
async fn what_was_never_put_is_absent(blobs: &dyn Blobs) -> Result<(), Failure> {
    blobs.put(&key("absent/there"), "text/plain", Bytes::from_static(b"1")).await?;
    for name in ["absent/nothing", "absent", "absent/there/below"] {
        assert_eq!(blobs.get(&key(name), None).await?, None, "{name}");
        assert_eq!(blobs.head(&key(name)).await?, None, "{name}");
        blobs.delete(&key(name)).await?;
    }
    assert!(blobs.head(&key("absent/there")).await?.is_some());
    blobs.delete(&key("absent/there")).await
}

/// The object is there with its type and size as soon as the put returns.
async fn what_was_put_is_read_at_once(blobs: &dyn Blobs) -> Result<(), Failure> {
    let every_byte: Bytes = (0..=255).collect();
    for (name, content_type) in [
        ("put/a.png", "image/png"),
        ("put/b.png", "image/jpeg"),
        ("put/c", "text/plain; charset=utf-8"),
        ("put/d.bin", "application/octet-stream"),
    ] {
        let key = key(name);
        blobs.put(&key, content_type, every_byte.clone()).await?;
        let Some(Blob { info, bytes }) = blobs.get(&key, None).await? else {
            unreachable!("{name} is absent")
        };
        assert_eq!(bytes, every_byte);
        assert_eq!((&info.key, info.size), (&key, 256));
        assert_eq!(info.content_type.as_deref(), Some(content_type));
        assert!(info.modified.as_secs() > 0);
        assert_eq!(blobs.head(&key).await?, Some(info));
        blobs.delete(&key).await?;
    }
    Ok(())
}

/// Neither bytes nor type of what was there before shine through.
async fn putting_again_replaces_all_of_it(blobs: &dyn Blobs) -> Result<(), Failure> {
    let key = key("again/a.png");
    for (content_type, text) in [("image/webp", "a longer text"), ("image/png", "short"), ("image/gif", "")] {
        blobs.put(&key, content_type, Bytes::from_static(text.as_bytes())).await?;
        let blob = blobs.get(&key, None).await?;
        assert_eq!(blob.as_ref().map(|blob| &blob.bytes[..]), Some(text.as_bytes()));
        assert_eq!(blob.and_then(|blob| blob.info.content_type).as_deref(), Some(content_type));
    }
    blobs.delete(&key).await
}

/// No size is special.
async fn an_object_may_be_empty_or_large(blobs: &dyn Blobs) -> Result<(), Failure> {
    for size in [0, 1, 5 << 20] {
        let key = key("size/x.bin");
        let bytes: Bytes = (0..size).map(|place: u32| place.to_le_bytes()[place as usize % 4]).collect();
        blobs.put(&key, "application/octet-stream", bytes.clone()).await?;
        assert!(read(blobs, &key).await?.is_some_and(|read| read == bytes), "{size} bytes");
        blobs.delete(&key).await?;
    }
    Ok(())
}

/// Names with dots, dashes and deep paths are names like others.
async fn any_name_of_the_alphabet_will_do(blobs: &dyn Blobs) -> Result<(), Failure> {
    let deep = vec!["d"; 60].join("/");
    for name in ["name/.a", "name/..a", "name/a..", "name/-", "name/_", "name/A.b-C_d", deep.as_str()] {
        let key = key(name);
        blobs.put(&key, "text/plain", Bytes::from(name.to_owned())).await?;
        assert_eq!(read(blobs, &key).await?.as_deref(), Some(name.as_bytes()), "{name}");
        blobs.delete(&key).await?;
    }
    Ok(())
}

/// A range gives just these bytes and tells the size of the whole; one beyond the end gives what there is.
async fn a_part_is_read_by_its_range(blobs: &dyn Blobs) -> Result<(), Failure> {
    let key = key("range/a.txt");
    blobs.put(&key, "text/plain", Bytes::from_static(b"0123456789")).await?;
    for (first, last, expected) in [
        (0, 0, "0"),
        (2, 4, "234"),
        (0, 9, "0123456789"),
        (9, 9, "9"),
        (7, 99, "789"),
        (0, u64::from(u32::MAX), "0123456789"),
    ] {
        let blob = blobs.get(&key, Some(ByteRange { first, last })).await?;
        assert_eq!(blob.as_ref().map(|b| &b.bytes[..]), Some(expected.as_bytes()), "{first}-{last}");
        assert_eq!(blob.map(|b| b.info.size), Some(10), "{first}-{last}");
    }
    blobs.delete(&key).await
}

/// A range without a byte is refused; one of an object that is not there is absent.
async fn a_range_outside_of_the_object_is_refused(blobs: &dyn Blobs) -> Result<(), Failure> {
    let key = key("range/b.txt");
    let behind = Some(ByteRange { first: 10, last: 12 });
    assert_eq!(blobs.get(&key, behind).await?, None);
    blobs.put(&key, "text/plain", Bytes::from_static(b"0123456789")).await?;
    for range in [behind, Some(ByteRange { first: 3, last: 2 })] {
        let refused = blobs.get(&key, range).await;
        assert!(matches!(&refused, Err(failure) if failure.kind == FailureKind::Refused), "{refused:?}");
    }
    blobs.delete(&key).await
}

/// However large the object or the range is, no piece is larger than announced, and none is missing.
async fn a_reader_yields_small_pieces_that_add_up(blobs: &dyn Blobs) -> Result<(), Failure> {
    const SIZE: usize = 2 * MAX_PIECE + 4321;
    let key = key("reader/a.bin");
    assert!(blobs.open(&key, None).await?.is_none());
    let bytes: Bytes = (0..SIZE).map(|place| place.to_le_bytes()[place % 3]).collect();
    blobs.put(&key, "application/octet-stream", bytes.clone()).await?;
    let piece = MAX_PIECE as u64;
    let at = |offset: u64| usize::try_from(offset).unwrap_or(usize::MAX);
    for range in [
        None,
        Some(ByteRange { first: 0, last: u64::MAX }),
        Some(ByteRange { first: 7, last: piece + 6 }),
        Some(ByteRange { first: piece - 1, last: 2 * piece }),
        Some(ByteRange { first: SIZE as u64 - 1, last: SIZE as u64 }),
    ] {
        let expected = range
            .and_then(|range| range.within(SIZE as u64))
            .map_or(bytes.clone(), |part| bytes.slice(at(part.first)..=at(part.last)));
        let Some(reader) = blobs.open(&key, range).await? else { unreachable!("it was just put") };
        assert_eq!((reader.info.size, reader.length), (SIZE as u64, expected.len() as u64), "{range:?}");
        let pieces: Vec<Bytes> = reader.pieces.try_collect().await?;
        assert!(pieces.iter().all(|piece| (1..=MAX_PIECE).contains(&piece.len())), "{range:?}");
        assert!(pieces.concat() == expected, "{range:?}");
    }
    let outside = blobs.open(&key, Some(ByteRange { first: SIZE as u64, last: u64::MAX })).await;
    assert!(matches!(&outside, Err(failure) if failure.kind == FailureKind::Refused), "{outside:?}");
    blobs.put(&key, "application/octet-stream", Bytes::new()).await?;
    let Some(empty) = blobs.open(&key, None).await? else { unreachable!("it was just put") };
    assert_eq!((empty.info.size, empty.length), (0, 0));
    assert!(empty.pieces.try_collect::<Vec<Bytes>>().await?.is_empty());
    blobs.delete(&key).await
}

/// What `head` says is what a reader says, with or without a range.
async fn metadata_is_read_alone_and_is_the_readers(blobs: &dyn Blobs) -> Result<(), Failure> {
    let key = key("reader/b.png");
    blobs.put(&key, "image/png", Bytes::from_static(b"0123456789")).await?;
    let known = blobs.head(&key).await?;
    assert_eq!(
        known.as_ref().map(|info| (info.size, info.content_type.as_deref())),
        Some((10, Some("image/png")))
    );
    for range in [None, Some(ByteRange { first: 3, last: 4 })] {
        assert_eq!(blobs.open(&key, range).await?.map(|reader| reader.info), known, "{range:?}");
    }
    blobs.delete(&key).await
}

/// A reader whose object is replaced or deleted meanwhile yields all of what it opened, or fails.
async fn a_reader_never_mixes_two_versions(blobs: &dyn Blobs) -> Result<(), Failure> {
    const SIZE: usize = 3 * MAX_PIECE;
    let key = key("reader/c.bin");
    for replaced in [true, false] {
        blobs.put(&key, "application/octet-stream", Bytes::from(vec![1; SIZE])).await?;
        let Some(mut reader) = blobs.open(&key, None).await? else { unreachable!("it was just put") };
        let Some(first) = reader.pieces.try_next().await? else { unreachable!("it is not empty") };
        if replaced {
            blobs.put(&key, "application/octet-stream", Bytes::from(vec![2; SIZE])).await?;
        } else {
            blobs.delete(&key).await?;
        }
        if let Ok(rest) = reader.pieces.try_collect::<Vec<Bytes>>().await {
            let whole = [first, rest.concat().into()].concat();
            assert!(whole.len() == SIZE && whole.iter().all(|byte| *byte == 1), "replaced: {replaced}");
        }
    }
    blobs.delete(&key).await
}

/// After a delete the object is nowhere, and deleting again is no fault.
async fn what_was_deleted_is_gone(blobs: &dyn Blobs) -> Result<(), Failure> {
    let key = key("gone/a.odd");
    blobs.put(&key, "image/png", Bytes::from_static(b"1")).await?;
    for _ in 0..2 {
        blobs.delete(&key).await?;
        assert_eq!(read(blobs, &key).await?, None);
        assert_eq!(blobs.head(&key).await?, None);
        assert_eq!(blobs.list("gone/", None).await?.items, []);
    }
    Ok(())
}

/// Writers at the same time do not mix: whoever reads gets all of one.
async fn of_puts_at_once_one_is_read_whole(blobs: &dyn Blobs) -> Result<(), Failure> {
    const SIZE: usize = 200_000;
    let key = key("race/a.bin");
    let is_whole = |bytes: &Bytes| bytes.len() == SIZE && bytes.iter().all(|byte| *byte == bytes[0]);
    blobs.put(&key, "application/octet-stream", Bytes::from(vec![0; SIZE])).await?;
    let steps = (1..=40).map(|number: u8| {
        let key = &key;
        async move {
            if number.is_multiple_of(2) {
                let bytes = Bytes::from(vec![number; SIZE]);
                blobs.put(key, "application/octet-stream", bytes).await?;
            }
            read(blobs, key).await
        }
    });
    let seen: Vec<Option<Bytes>> = stream::iter(steps).buffer_unordered(AT_ONCE).try_collect().await?;
    assert!(seen.iter().all(|bytes| bytes.as_ref().is_some_and(is_whole)));
    blobs.delete(&key).await
}

/// A listing has all of the prefix and nothing else, sorted by whole names and not folder by folder.
async fn a_listing_is_in_the_order_of_names(blobs: &dyn Blobs) -> Result<(), Failure> {
    let sorted = ["list/a-b", "list/a.b", "list/a/b", "list/a/c/d", "list/a0", "list/b"];
    for name in
        ["list/a0", "list/b", "list/a/c/d", "list/a.b", "list/a/b", "list/a-b", "lis", "list.", "lit/a"]
    {
        blobs.put(&key(name), "text/plain", Bytes::from(name.to_owned())).await?;
    }
    for (prefix, expected) in [
        ("list/", &sorted[..]),
        ("list/a", &sorted[..5]),
        ("list/a/", &sorted[2..4]),
        ("list/a/c/d", &sorted[3..4]),
        ("list/c", &[]),
    ] {
        let page = blobs.list(prefix, None).await?;
        let names: Vec<&str> = page.items.iter().map(|info| info.key.as_str()).collect();
        assert_eq!(names, expected, "{prefix}");
        assert!(page.items.iter().all(|info| info.size == info.key.as_str().len() as u64));
        assert_eq!(page.next, None);
    }
    for name in sorted.into_iter().chain(["lis", "list.", "lit/a"]) {
        blobs.delete(&key(name)).await?;
    }
    Ok(())
}

/// The name to go on behind need not be there, and is not told again.
async fn a_listing_goes_on_behind_a_name(blobs: &dyn Blobs) -> Result<(), Failure> {
    let names = ["after/a", "after/b/c", "after/d"];
    for name in names {
        blobs.put(&key(name), "text/plain", Bytes::new()).await?;
    }
    for (after, expected) in [
        ("after", &names[..]),
        ("after/a", &names[1..]),
        ("after/b", &names[1..]),
        ("after/b/c", &names[2..]),
        ("after/b/z", &names[2..]),
        ("after/d", &[]),
        ("z", &[]),
    ] {
        let page = blobs.list("after/", Some(&key(after))).await?;
        let found: Vec<&str> = page.items.iter().map(|info| info.key.as_str()).collect();
        assert_eq!(found, expected, "behind {after}");
    }
    for name in names {
        blobs.delete(&key(name)).await?;
    }
    Ok(())
}

/// More than 1000 objects come in parts that join without a gap or a repetition.
async fn a_long_listing_comes_in_parts(blobs: &dyn Blobs) -> Result<(), Failure> {
    let names: Vec<String> = (0..1003).map(|number| format!("many/{number:04}")).collect();
    let keys: Vec<BlobKey> = names.iter().map(|name| key(name)).collect();
    let put = |key| blobs.put(key, "text/plain", Bytes::new());
    stream::iter(&keys).map(put).buffer_unordered(AT_ONCE).try_collect::<()>().await?;
    let first = blobs.list("many/", None).await?;
    assert_eq!((first.items.len(), first.next.as_ref()), (1000, Some(&keys[999])));
    let second = blobs.list("many/", first.next.as_ref()).await?;
    assert_eq!(second.next, None);
    let found: Vec<BlobKey> = first.items.into_iter().chain(second.items).map(|info| info.key).collect();
    assert_eq!(found, keys);
    let delete = |key| blobs.delete(key);
    stream::iter(&keys).map(delete).buffer_unordered(AT_ONCE).try_collect().await
}

/// A URL of this store names its object, and no other URL names one.
fn a_public_url_leads_back_to_its_object(blobs: &dyn Blobs) {
    let key = key("url/A.b-C_d.png");
    let url = blobs.public_url(&key);
    assert!(url.starts_with("http") && url.ends_with("/url/A.b-C_d.png"), "{url}");
    assert_eq!(blobs.key_of(&url), Some(key));
    let base = url.trim_end_matches("/url/A.b-C_d.png");
    for foreign in ["/", "/a/../b", "//a", "/a?b", "/a#b", "/%61", "", "x/a"] {
        assert_eq!(blobs.key_of(&format!("{base}{foreign}")), None, "{foreign:?}");
    }
    assert_eq!(blobs.key_of("https://elsewhere.example/url/A.b-C_d.png"), None);
    assert_eq!(blobs.key_of("url/A.b-C_d.png"), None);
}

/// A client may upload this object with this type, and neither another object nor another type.
async fn only_the_promised_upload_is_let_in(blobs: &dyn Blobs) -> Result<(), Failure> {
    let key = key("upload/a.png");
    let Some(promise) = blobs.presign_put(&key, "image/png", LONG) else { return Ok(()) };
    assert_eq!(promise.content_type, "image/png");
    let elsewhere = promise.url.replace("upload/a.png", "upload/b.png");
    assert_eq!(upload(&promise.url, "text/html").await, Some(403));
    assert_eq!(upload(&elsewhere, "image/png").await, Some(403));
    assert_eq!(blobs.list("upload/", None).await?.items, []);
    assert_eq!(upload(&promise.url, "image/png").await, Some(200));
    let info = blobs.head(&key).await?;
    assert_eq!(info.and_then(|info| info.content_type).as_deref(), Some("image/png"));
    blobs.delete(&key).await
}

/// The status that the upload was answered with.
async fn upload(url: &str, content_type: &str) -> Option<u16> {
    let client = reqwest::Client::builder().connect_timeout(SOON).timeout(SOON).no_proxy().build().ok()?;
    let request = client.put(url).header("content-type", content_type).body("a picture");
    Some(request.send().await.ok()?.status().as_u16())
}
