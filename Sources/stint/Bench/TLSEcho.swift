// Owns: the limit that HTTPS is measured against: a thread that answers bytes by bytes over TLS on the same kind of
// loop, and does nothing else. It must not know HTTP.

import ClusterIO
import Coordinator
import Glibc
import Synchronization

/// A bare TLS server on a thread of its own.
final class TLSEcho: Sendable {
  private struct Shared {
    var address: SocketAddress?
    var failure: IOError?
    var cpuSeconds = 0.0
    var isStopping = false
  }

  private let shared = Mutex(Shared())
  private let thread: WorkerThread

  /// Answers every `requestSize` bytes by `answer`. Returns when it listens.
  init(_ pki: PKI, requestSize: Int, answer: [UInt8]) throws {
    thread = try WorkerThread(name: "bench-echo")
    let (server, authority) = (pki.server, pki.authority.certificate)
    thread.post { [self] in
      do throws(IOError) {
        try serve(try TLSContext(server: server, authority: authority), requestSize, answer)
      } catch {
        shared.withLock { $0.failure = error }
      }
    }
    while true {
      let (address, failure) = shared.withLock { ($0.address, $0.failure) }
      if let failure { throw failure }
      if address != nil { return }
      poll(nil, 0, 1)
    }
  }

  /// Where it listens.
  var address: SocketAddress { shared.withLock { $0.address } ?? .tcp(host: "127.0.0.1", port: 0) }
  /// Processor seconds that the thread has used, at most 20 ms ago.
  var cpuSeconds: Double { shared.withLock { $0.cpuSeconds } }

  func stop() {
    shared.withLock { $0.isStopping = true }
    thread.stop()
  }

  private func serve(_ context: TLSContext, _ requestSize: Int, _ answer: [UInt8]) throws(IOError) {
    let loop = try EventLoop()
    let listener = try Listener(loop: loop, at: .tcp(host: "127.0.0.1", port: 0)) { connection in
      do throws(IOError) { try connection.startTLS(context) } catch { return connection.close() }
      var received = 0
      connection.onBytes = { [unowned connection] bytes in
        received += bytes.count
        while received >= requestSize {
          received -= requestSize
          connection.send(answer)
        }
      }
    }
    shared.withLock { $0.address = listener.address }
    let timer = loop.makeTimer {}
    while !shared.withLock({ $0.isStopping }) {
      if timer.deadline == .max {
        timer.arm(at: Clocks.boot() + 20_000_000)
        var time = timespec()
        clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time)
        let seconds = Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
        shared.withLock { $0.cpuSeconds = seconds }
      }
      try loop.runOnce(timeoutMilliseconds: -1)
    }
    listener.close()
  }
}
