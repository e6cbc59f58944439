// Owns: standard input for a loop: read on a thread of its own, since a file or a terminal cannot be waited for, one
// piece at a time; and the terminal's raw mode. It must not know who reads.

import ClusterIO
import ClusterProto
import Glibc

/// The process' standard input.
final class StandardInput {
  /// A piece of it; empty: its end.
  var onBytes: (([UInt8]) -> Void)?
  private let thread: WorkerThread
  private let pieces: Mailbox<[UInt8]>
  private let descriptor: Int32
  private var isWaiting = false
  private var isOver = false
  private static let pieceBytes = 64 * 1024

  init(_ loop: EventLoop, descriptor: Int32 = 0) throws(IOError) {
    self.descriptor = descriptor
    thread = try WorkerThread(name: "stint-input")
    pieces = try Mailbox()
    try loop.attach(pieces) { [unowned self] pieces in
      for piece in pieces {
        isWaiting = false
        isOver = isOver || piece.isEmpty
        onBytes?(piece)
      }
    }
  }

  /// One more piece comes, unless one is on its way.
  func next() {
    guard !isWaiting, !isOver else { return }
    isWaiting = true
    thread.post { [pieces, descriptor] in
      var buffer = [UInt8](repeating: 0, count: Self.pieceBytes)
      var count = -1
      repeat { count = read(descriptor, &buffer, buffer.count) } while count < 0 && errno == EINTR
      pieces.post(Array(buffer[..<max(0, count)]))
    }
  }
}

/// A terminal that hands each key on as it is, and shows nothing itself.
struct RawTerminal {
  private let before: termios

  /// nil: standard input is none.
  init?() {
    var state = termios()
    guard isatty(0) == 1, tcgetattr(0, &state) == 0 else { return nil }
    before = state
    cfmakeraw(&state)
    tcsetattr(0, TCSADRAIN, &state)
  }

  func restore() {
    var state = before
    tcsetattr(0, TCSADRAIN, &state)
  }

  /// In characters; nil: standard output is no terminal.
  static var size: TerminalSize? {
    var size = winsize()
    guard ioctl(1, UInt(TIOCGWINSZ), &size) == 0, size.ws_col > 0, size.ws_row > 0 else { return nil }
    return TerminalSize(columns: size.ws_col, rows: size.ws_row)
  }
}
