//! A log file under construction: entries, then zeros that were written ahead.

use std::path::Path;
use std::time::Duration;

use types::mutant;
use wire::stored::FileHeader;

use crate::disk::DiskFile;
use crate::error::{Action, Context, Error};
use crate::limits::LOG_SPACE_STEP_BYTES;

static ZEROS: [u8; LOG_SPACE_STEP_BYTES] = [0; LOG_SPACE_STEP_BYTES];

/// A file that grows ahead of its content.
#[derive(Debug)]
pub(super) struct Space<F> {
    file: F,
    /// Where the next entry goes.
    end: u64,
    /// The length of the file; zeros from `end` on.
    written_to: u64,
}

impl<F: DiskFile> Space<F> {
    /// Writes the header and the first zeros, durably.
    pub(super) fn start(file: F, step: usize, path: &Path) -> Result<Self, Error> {
        let mut header = Vec::with_capacity(FileHeader::BYTES);
        FileHeader::LOG.encode(&mut header);
        file.write_all_at(&header, 0).during(Action::Write, path)?;
        let end = header.len() as u64;
        let mut space = Self { file, end, written_to: end };
        space.extend(step, path)?;
        space.sync(path)?;
        Ok(space)
    }

    /// Writes entries after those that are there, and zeros behind them if the space is used up.
    pub(super) fn append(&mut self, bytes: &[u8], step: usize, path: &Path) -> Result<(), Error> {
        self.file.write_all_at(bytes, self.end).during(Action::Write, path)?;
        self.end += bytes.len() as u64;
        if self.end >= self.written_to {
            self.written_to = self.end;
            self.extend(step, path)?;
        }
        Ok(())
    }

    /// Writes and syncs another step if less than half of one is left.
    pub(super) fn widen(&mut self, step: usize, path: &Path) -> Result<(), Error> {
        if self.written_to - self.end < step as u64 / 2 {
            self.extend(step, path)?;
            self.sync(path)?;
        }
        Ok(())
    }

    /// Makes everything durable; returns how long the device took.
    pub(super) fn sync(&self, path: &Path) -> Result<Duration, Error> {
        let mut result = self.file.sync_data();
        if mutant::active(36) {
            result = result.or_else(|_| self.file.sync_data());
        }
        if mutant::active(35) {
            result = result.or(Ok(Duration::ZERO));
        }
        result.during(Action::Sync, path)
    }

    /// Where the next entry goes, in bytes from the start of the file.
    pub(super) fn end(&self) -> u64 {
        self.end
    }

    /// Writes zeros up to the next multiple of `step`.
    fn extend(&mut self, step: usize, path: &Path) -> Result<(), Error> {
        let step = step.min(LOG_SPACE_STEP_BYTES);
        if step == 0 {
            return Ok(());
        }
        let over = usize::try_from(self.written_to % step as u64).unwrap_or(0);
        let zeros = &ZEROS[..step - over];
        self.file.write_all_at(zeros, self.written_to).during(Action::Write, path)?;
        self.written_to += zeros.len() as u64;
        Ok(())
    }
}
