//! The streams that a snapshot goes through: to the file, from the file, and the block format of
//! snappy-java.
//!
//! ```text
//! 0    82 53 4e 41 50 50 59 00   "\x82SNAPPY\0"
//! 8    int 1                     version
//! 12   int 1                     oldest version that can read it
//! 16   { int bytes | snappy block of that many bytes } ...
//! ```
//!
//! Each block unpacks to at most 32 KiB when written here or by Java's defaults.

use std::io::{self, Read, Write};

use crate::disk::DiskFile;
use crate::limits::{SNAPPY_BLOCK_BYTES_MAX, SNAPSHOT_SYNC_BYTES};

/// The first 16 bytes of a stream of snappy blocks.
const SNAPPY_HEAD: [u8; 16] = [0x82, b'S', b'N', b'A', b'P', b'P', b'Y', 0, 0, 0, 0, 1, 0, 0, 0, 1];
/// Which of them tell the format.
pub(super) const SNAPPY_MAGIC: &[u8] = SNAPPY_HEAD.first_chunk::<8>().expect("16 bytes");
/// The first bytes of a gzip stream.
pub(super) const GZIP_MAGIC: &[u8] = &[0x1f, 0x8b];

/// Unpacked bytes of a block as written.
const SNAPPY_BLOCK_BYTES: usize = 32 * 1024;

/// Writes to a file from its start on, and syncs every few megabytes so that the device never gets
/// much at a time.
#[derive(Debug)]
pub(super) struct FileSink<F> {
    pub(super) file: F,
    pub(super) written: u64,
    synced: u64,
}

impl<F: DiskFile> FileSink<F> {
    pub(super) fn new(file: F) -> Self {
        Self { file, written: 0, synced: 0 }
    }
}

impl<F: DiskFile> Write for FileSink<F> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.file.write_at(bytes, self.written)?;
        self.written += written as u64;
        if self.written - self.synced >= SNAPSHOT_SYNC_BYTES {
            self.file.sync_data()?;
            self.synced = self.written;
        }
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Reads a file from its start on.
#[derive(Debug)]
pub(super) struct FileSource<F> {
    file: F,
    offset: u64,
}

impl<F: DiskFile> FileSource<F> {
    pub(super) fn new(file: F) -> Self {
        Self { file, offset: 0 }
    }
}

impl<F: DiskFile> Read for FileSource<F> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read_at(into, self.offset)?;
        self.offset += read as u64;
        Ok(read)
    }
}

/// Packs into blocks.
pub(super) struct SnappySink<W> {
    inner: W,
    block: Vec<u8>,
    packed: Vec<u8>,
}

impl<W: Write> SnappySink<W> {
    pub(super) fn new(mut inner: W) -> io::Result<Self> {
        inner.write_all(&SNAPPY_HEAD)?;
        Ok(Self { inner, block: Vec::with_capacity(SNAPPY_BLOCK_BYTES), packed: Vec::new() })
    }

    pub(super) fn finish(mut self) -> io::Result<W> {
        self.pack()?;
        Ok(self.inner)
    }

    fn pack(&mut self) -> io::Result<()> {
        if self.block.is_empty() {
            return Ok(());
        }
        self.packed.resize(snap::raw::max_compress_len(self.block.len()), 0);
        let packed = snap::raw::Encoder::new().compress(&self.block, &mut self.packed)?;
        let length = u32::try_from(packed).map_err(io::Error::other)?;
        self.inner.write_all(&length.to_be_bytes())?;
        self.inner.write_all(&self.packed[..packed])?;
        self.block.clear();
        Ok(())
    }
}

impl<W: Write> Write for SnappySink<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let taken = bytes.len().min(SNAPPY_BLOCK_BYTES - self.block.len());
        self.block.extend_from_slice(&bytes[..taken]);
        if self.block.len() == SNAPPY_BLOCK_BYTES {
            self.pack()?;
        }
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Unpacks blocks.
pub(super) struct SnappySource<R> {
    inner: R,
    packed: Vec<u8>,
    block: Vec<u8>,
    /// Bytes of the block that were read.
    position: usize,
}

impl<R: Read> SnappySource<R> {
    pub(super) fn new(mut inner: R) -> io::Result<Self> {
        let mut head = [0; SNAPPY_HEAD.len()];
        inner.read_exact(&mut head)?;
        if !head.starts_with(SNAPPY_MAGIC) {
            return Err(io::ErrorKind::InvalidData.into());
        }
        Ok(Self { inner, packed: Vec::new(), block: Vec::new(), position: 0 })
    }

    /// Unpacks the next block; false at the end.
    fn unpack(&mut self) -> io::Result<bool> {
        let mut length = [0; 4];
        match self.inner.read(&mut length)? {
            0 => return Ok(false),
            read => self.inner.read_exact(&mut length[read..])?,
        }
        // A file of several streams has a head before each.
        if SNAPPY_MAGIC.starts_with(&length) {
            self.inner.read_exact(&mut [0; SNAPPY_HEAD.len() - 4])?;
            return self.unpack_block_after_head();
        }
        self.unpack_block(length)
    }

    fn unpack_block_after_head(&mut self) -> io::Result<bool> {
        let mut length = [0; 4];
        self.inner.read_exact(&mut length)?;
        self.unpack_block(length)
    }

    fn unpack_block(&mut self, length: [u8; 4]) -> io::Result<bool> {
        let bytes = u32::from_be_bytes(length) as usize;
        if bytes > SNAPPY_BLOCK_BYTES_MAX {
            return Err(io::ErrorKind::InvalidData.into());
        }
        self.packed.resize(bytes, 0);
        self.inner.read_exact(&mut self.packed)?;
        let unpacked = snap::raw::decompress_len(&self.packed)?;
        if unpacked > SNAPPY_BLOCK_BYTES_MAX {
            return Err(io::ErrorKind::InvalidData.into());
        }
        self.block.resize(unpacked, 0);
        snap::raw::Decoder::new().decompress(&self.packed, &mut self.block)?;
        self.position = 0;
        Ok(true)
    }
}

impl<R: Read> Read for SnappySource<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        while self.position == self.block.len() {
            if !self.unpack()? {
                return Ok(0);
            }
        }
        let bytes = into.len().min(self.block.len() - self.position);
        into[..bytes].copy_from_slice(&self.block[self.position..self.position + bytes]);
        self.position += bytes;
        Ok(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn snappy_blocks_round_trip_across_block_boundaries() {
        for bytes in [0, 1, SNAPPY_BLOCK_BYTES, SNAPPY_BLOCK_BYTES * 2 + 7] {
            let plain: Vec<u8> = (0..=250).cycle().take(bytes).collect();
            let mut sink = SnappySink::new(Vec::new()).unwrap();
            sink.write_all(&plain).unwrap();
            let packed = sink.finish().unwrap();
            let mut unpacked = Vec::new();
            SnappySource::new(packed.as_slice()).unwrap().read_to_end(&mut unpacked).unwrap();
            assert_eq!(unpacked, plain);
        }
    }

    #[test]
    fn snappy_stream_cut_anywhere_but_between_blocks_is_an_error() {
        let mut sink = SnappySink::new(Vec::new()).unwrap();
        sink.write_all(&[7; 1000]).unwrap();
        let packed = sink.finish().unwrap();
        for cut in (0..packed.len()).filter(|&cut| cut != SNAPPY_HEAD.len()) {
            let read = SnappySource::new(&packed[..cut])
                .and_then(|mut source| source.read_to_end(&mut Vec::new()));
            assert!(read.is_err(), "cut at {cut}");
        }
    }
}
