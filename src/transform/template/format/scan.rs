//! Reading a `printf` format: literal text, and directives with flags, argument index, width, precision and verb.

use super::super::value::Value;
use super::{Printer, Style, bounded};

/// Go treats larger widths, precisions and argument numbers as mistakes.
const MAX_WIDTH: usize = 1_000_000;

/// Writes `format` to `printer` with its directives filled in from `values`.
pub(super) fn run(
    format: &[u8],
    values: &[Value<'_>],
    printer: &mut Printer,
) -> Result<(), String> {
    let mut scan = Scan {
        format,
        at: 0,
        values,
        next: 0,
        reordered: false,
        good_index: true,
    };
    while scan.at < format.len() {
        let rest = &format[scan.at..];
        let literal = rest
            .iter()
            .position(|byte| *byte == b'%')
            .unwrap_or(rest.len());
        printer.out.extend_from_slice(&rest[..literal]);
        scan.at += literal;
        if scan.at < format.len() {
            scan.at += 1;
            scan.directive(printer)?;
        }
        bounded(&printer.out)?;
    }
    if !scan.reordered && scan.next < values.len() {
        printer.extra(&values[scan.next..]);
    }
    bounded(&printer.out)
}

/// The reading end of a format string.
struct Scan<'f, 'v> {
    format: &'f [u8],
    at: usize,
    values: &'v [Value<'v>],
    next: usize,
    /// An explicit index such as `%[2]d` was seen: then unused operands are no mistake.
    reordered: bool,
    good_index: bool,
}

impl Scan<'_, '_> {
    fn peek(&self) -> Option<u8> {
        self.format.get(self.at).copied()
    }

    fn accept(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        self.at += usize::from(found);
        found
    }

    /// Everything after a `%`.
    fn directive(&mut self, printer: &mut Printer) -> Result<(), String> {
        printer.style = Style::default();
        self.good_index = true;
        while let Some(flag) = self.peek() {
            match flag {
                b'#' => printer.style.sharp = true,
                b'0' => printer.style.zero = true,
                b'+' => printer.style.plus = true,
                b'-' => printer.style.minus = true,
                b' ' => printer.style.space = true,
                _ => break,
            }
            self.at += 1;
        }
        let mut after_index = self.index();
        self.width(printer, &mut after_index);
        self.precision(printer, &mut after_index);
        if !after_index {
            self.index();
        }
        let Some(verb) = self.verb() else {
            printer.out.extend_from_slice(b"%!(NOVERB)");
            return Ok(());
        };
        if verb == '%' {
            printer.out.push(b'%');
        } else if !self.good_index {
            printer.note(verb, "BADINDEX");
        } else if let Some(value) = self.values.get(self.next) {
            self.next += 1;
            printer.argument(value, verb)?;
        } else {
            printer.note(verb, "MISSING");
        }
        Ok(())
    }

    fn width(&mut self, printer: &mut Printer, after_index: &mut bool) {
        if !self.accept(b'*') {
            printer.style.width = self.number();
            // %[3]2d: the index must stand before the verb or a star.
            self.good_index &= !(*after_index && printer.style.width.is_some());
            return;
        }
        *after_index = false;
        match self.star() {
            Some(width) => {
                printer.style.minus |= width < 0;
                printer.style.width = Some(width.unsigned_abs());
            }
            None => printer.out.extend_from_slice(b"%!(BADWIDTH)"),
        }
    }

    fn precision(&mut self, printer: &mut Printer, after_index: &mut bool) {
        if !self.accept(b'.') {
            return;
        }
        self.good_index &= !*after_index;
        *after_index = self.index();
        if !self.accept(b'*') {
            printer.style.precision = Some(self.number().unwrap_or(0));
            return;
        }
        *after_index = false;
        match self
            .star()
            .and_then(|precision| usize::try_from(precision).ok())
        {
            Some(precision) => printer.style.precision = Some(precision),
            None => printer.out.extend_from_slice(b"%!(BADPREC)"),
        }
    }

    /// A width or precision taken from the operands.
    fn star(&mut self) -> Option<isize> {
        let value = self.values.get(self.next)?;
        self.next += 1;
        let number = isize::try_from(value.whole()?).ok()?;
        (number.unsigned_abs() <= MAX_WIDTH).then_some(number)
    }

    /// A decimal number. One that is too large swallows the rest of the format, as in Go.
    fn number(&mut self) -> Option<usize> {
        let (number, end) = decimal(self.format, self.at, self.format.len());
        self.at = end;
        number
    }

    /// `[n]`: the operand to take next. Gives whether there was a well formed one.
    fn index(&mut self) -> bool {
        if self.peek() != Some(b'[') {
            return false;
        }
        self.reordered = true;
        let rest = &self.format[self.at..];
        let Some(close) = rest
            .iter()
            .position(|byte| *byte == b']')
            .filter(|_| rest.len() >= 3)
        else {
            self.good_index = false;
            self.at += 1;
            return false;
        };
        let (number, end) = decimal(rest, 1, close);
        self.at += close + 1;
        let number = number.filter(|_| end == close);
        match number.and_then(|number| number.checked_sub(1)) {
            Some(index) if index < self.values.len() => self.next = index,
            _ => self.good_index = false,
        }
        number.is_some()
    }

    fn verb(&mut self) -> Option<char> {
        let rest = &self.format[self.at..];
        let chunk = rest.utf8_chunks().next()?;
        let (verb, length) = match chunk.valid().chars().next() {
            Some(verb) => (verb, verb.len_utf8()),
            None => (char::REPLACEMENT_CHARACTER, 1),
        };
        self.at += length;
        Some(verb)
    }
}

/// The decimal number at `start`, and where it ends.
fn decimal(text: &[u8], start: usize, limit: usize) -> (Option<usize>, usize) {
    let mut number = None;
    let mut at = start;
    while at < limit && text[at].is_ascii_digit() {
        let before = number.unwrap_or(0);
        // Go checks before it takes the next digit in, so that the true limit is ten times higher.
        if before > MAX_WIDTH {
            return (None, limit);
        }
        number = Some(before * 10 + usize::from(text[at] - b'0'));
        at += 1;
    }
    (number, at)
}
