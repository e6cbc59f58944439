// Owns: the only ways between threads: a mailbox that wakes the loop, and a thread that does slow work in order.
// They must not know what is posted or done.

import CLinux
import Glibc
import Synchronization

/// A queue from any thread to one reader, which an eventfd wakes.
package final class Mailbox<Item: Sendable>: Sendable {
  private let items = Mutex<[Item]>([])
  /// Readable while something was posted and not drained; for the loop or `poll`.
  package let descriptor: Int32

  /// An empty mailbox.
  package init() throws(IOError) {
    descriptor = eventfd(0, Int32(EFD_CLOEXEC | EFD_NONBLOCK))
    guard descriptor >= 0 else { throw IOError.last("eventfd") }
  }

  deinit { close(descriptor) }

  /// Appends `item` and wakes the reader. Never waits for the reader.
  package func post(_ item: Item) {
    let wasEmpty = items.withLock { items in
      items.append(item)
      return items.count == 1
    }
    guard wasEmpty else { return }
    var one: UInt64 = 1
    _ = write(descriptor, &one, 8)
  }

  /// Takes all items, in the order of posting.
  package func drain() -> [Item] {
    var count: UInt64 = 0
    _ = read(descriptor, &count, 8)
    return items.withLock { items in
      defer { items = [] }
      return items
    }
  }
}

extension EventLoop {
  /// Hands all that is posted to `mailbox` to `handler`, on the loop's thread, a batch a turn. Keeps the mailbox alive.
  package func attach<Item: Sendable>(_ mailbox: Mailbox<Item>, _ handler: @escaping ([Item]) -> Void) throws(IOError) {
    try add(mailbox.descriptor, .readable) { _ in
      let items = mailbox.drain()
      if !items.isEmpty { handler(items) }
    }
  }
}

/// One thread that runs closures in the order of posting; results come back by a `Mailbox`.
package final class WorkerThread: Sendable {
  private enum Work: Sendable {
    case run(@Sendable () -> Void)
    case stop
  }

  private final class Start: Sendable {
    let mailbox: Mailbox<Work>
    let name: String
    /// The thread has done all its work and is about to end.
    let isDone = Mutex(false)
    init(mailbox: Mailbox<Work>, name: String) {
      self.mailbox = mailbox
      self.name = name
    }
  }

  private let mailbox: Mailbox<Work>
  private let thread: Mutex<pthread_t?>
  private let start: Start

  /// Starts the thread with all signals blocked; `name` (at most 15 bytes) shows in `ps -L`.
  package init(name: String) throws(IOError) {
    mailbox = try Mailbox<Work>()
    start = Start(mailbox: mailbox, name: name)
    let retained = Unmanaged.passRetained(start)
    // Signals belong to the loop's signalfd: a thread that left them open would take the default action.
    var all = sigset_t()
    var previous = sigset_t()
    sigfillset(&all)
    pthread_sigmask(SIG_SETMASK, &all, &previous)
    var identity = pthread_t()
    let code = pthread_create(
      &identity, nil,
      { argument in
        if let argument { WorkerThread.main(Unmanaged<Start>.fromOpaque(argument).takeRetainedValue()) }
        return nil
      }, retained.toOpaque())
    pthread_sigmask(SIG_SETMASK, &previous, nil)
    thread = Mutex(code == 0 ? identity : nil)
    guard code == 0 else {
      retained.release()
      throw IOError(code: code, operation: "pthread_create", subject: name)
    }
  }

  /// The thread ends when its work is done, which nobody waits for: a disk may hold it up.
  deinit {
    guard let identity = thread.withLock({ $0 }) else { return }
    mailbox.post(.stop)
    pthread_detach(identity)
  }

  /// Has `work` run on the thread, after all posted before it.
  package func post(_ work: @escaping @Sendable () -> Void) { mailbox.post(.run(work)) }

  /// Waits until all posted work is done, then ends the thread. A second call does nothing.
  package func stop() {
    let identity = thread.withLock { thread in
      defer { thread = nil }
      return thread
    }
    guard let identity else { return }
    mailbox.post(.stop)
    pthread_join(identity, nil)
  }

  /// The same, but gives up after that time: then the thread ends by itself, when what holds it up lets it. Whether all
  /// is done.
  package func stop(milliseconds: Int64) -> Bool {
    guard thread.withLock({ $0 != nil }) else { return true }
    mailbox.post(.stop)
    let end = Clocks.boot() + milliseconds * 1_000_000
    while !start.isDone.withLock({ $0 }) {
      if Clocks.boot() >= end { return false }
      poll(nil, 0, 1)
    }
    stop()
    return true
  }

  private static func main(_ start: Start) {
    stint_name_thread(start.name)
    var watched = pollfd(fd: start.mailbox.descriptor, events: Int16(POLLIN), revents: 0)
    while true {
      poll(&watched, 1, -1)
      for work in start.mailbox.drain() {
        switch work {
        case .run(let closure): closure()
        case .stop:
          start.isDone.withLock { $0 = true }
          return
        }
      }
    }
  }
}
