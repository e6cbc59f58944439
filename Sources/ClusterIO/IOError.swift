// Owns: the one error of system calls and of what stands on them.
// It must not know what the failed call was for beyond its subject's name.

import CLinux
import Glibc

/// A system call that failed, with what it was done to.
package struct IOError: Error, Equatable, Sendable, CustomStringConvertible {
  /// The `errno` value; 0 when no system call is to blame (a bad address, an OpenSSL failure).
  package let code: Int32
  /// What was tried, a verb or the call's name: `open`, `connect`.
  package let operation: String
  /// What it was tried on: a path, an address; may be empty.
  package let subject: String
  /// Why it failed, in words: the system's own text, or ours where `code` is 0.
  package let message: String

  /// An error of a system call, worded by the C library.
  package init(code: Int32, operation: String, subject: String = "") {
    self.code = code
    self.operation = operation
    self.subject = subject
    self.message = IOError.text(code)
  }

  /// An error without an `errno`, worded by the caller.
  package init(operation: String, subject: String, message: String, code: Int32 = 0) {
    self.code = code
    self.operation = operation
    self.subject = subject
    self.message = message
  }

  /// The error of the call that just failed in this thread. Read it before anything else can set `errno`.
  package static func last(_ operation: String, _ subject: String = "") -> IOError {
    IOError(code: errno, operation: operation, subject: subject)
  }

  /// What to do where a file or directory of ours cannot be made or opened because something else is at its path.
  package static let clearance = "move away what is there in its place, or mend its permissions"

  /// The same with what to do about it, unless that is said already.
  package func advising(_ advice: String) -> IOError {
    if code == PrivateFiles.refusal { return self }
    return IOError(operation: operation, subject: subject, message: "\(message): \(advice)", code: code)
  }

  /// `operation subject: message`.
  package var description: String {
    subject.isEmpty ? "\(operation): \(message)" : "\(operation) \(subject): \(message)"
  }

  /// The C library's text of an `errno` value.
  package static func text(_ code: Int32) -> String {
    guard let text = strerror(code) else { return "error \(code)" }
    return String(cString: text)
  }
}

/// Repeats a call that a signal interrupted; the result is the call's own, -1 with `errno` set on failure.
func retryingInterrupts<Value: SignedInteger>(_ call: () -> Value) -> Value {
  while true {
    let result = call()
    if result != -1 || errno != EINTR { return result }
  }
}
