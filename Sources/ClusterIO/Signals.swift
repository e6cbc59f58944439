// Owns: signals as events of the loop. It must not know what they mean to the program.

import CLinux
import Glibc

/// Signals of this process, read from a signalfd on the loop.
package final class Signals {
  private let descriptor: Int32
  private let loop: EventLoop

  /// Blocks `signals` in this thread and reports them to `handler`. Call it before any other thread starts: threads
  /// inherit the block, and one that did not would take the default action.
  package init(loop: EventLoop, _ signals: [Int32], _ handler: @escaping (Int32) -> Void) throws(IOError) {
    var set = sigset_t()
    sigemptyset(&set)
    for signal in signals { sigaddset(&set, signal) }
    pthread_sigmask(SIG_BLOCK, &set, nil)
    let descriptor = signalfd(-1, &set, Int32(SFD_CLOEXEC | SFD_NONBLOCK))
    guard descriptor >= 0 else { throw IOError.last("signalfd") }
    self.descriptor = descriptor
    self.loop = loop
    try loop.add(descriptor, .readable) { _ in
      var info = signalfd_siginfo()
      let size = MemoryLayout<signalfd_siginfo>.size
      while read(descriptor, &info, size) == size { handler(Int32(bitPattern: info.ssi_signo)) }
    }
  }

  deinit {
    loop.remove(descriptor)
    close(descriptor)
  }

  /// Has writes to closed pipes fail with EPIPE instead of ending the process.
  package static func ignoreBrokenPipes() { signal(SIGPIPE, SIG_IGN) }
}
