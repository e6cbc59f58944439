// Owns: mounts that this process makes for itself, on one thread that has a mount namespace of its own: nobody else
// sees them, and they are gone with the process. It must not know what they are for.

import CLinux
import Glibc

/// A thread with mounts of its own. All that is posted to it runs in its mount namespace, in the order of posting.
package final class OwnMounts: Sendable {
  /// The file that stands for its namespace, for `MountOperation.root`; nil: it could not be made, and `post` does
  /// nothing.
  package let namespace: String?
  private let thread: WorkerThread

  /// Starts the thread; `name` (at most 15 bytes) shows in `ps -L`.
  package init(name: String) throws(IOError) {
    thread = try WorkerThread(name: name)
    // The namespace is copied from ours, which takes no time that counts, and no disk.
    let ready = try Mailbox<Int32>()
    thread.post { ready.post(stint_mounts_apart() == 0 ? stint_thread_id() : -1) }
    var waits = pollfd(fd: ready.descriptor, events: Int16(POLLIN), revents: 0)
    while poll(&waits, 1, -1) < 0 && errno == EINTR {}
    let number = ready.drain().first ?? -1
    namespace = number > 0 ? "/proc/\(getpid())/task/\(number)/ns/mnt" : nil
  }

  /// Has `work` run there.
  package func post(_ work: @escaping @Sendable () -> Void) {
    if namespace != nil { thread.post(work) }
  }

  /// Waits a while until what was posted is done; whether it is. Nothing may be posted any more.
  package func stop(milliseconds: Int64) -> Bool { thread.stop(milliseconds: milliseconds) }

  /// Makes mounts; only in what was posted. Destinations are the host's paths, unless the operations begin with a root.
  package static func make(_ operations: [MountOperation]) throws(IOError) {
    var plan = ContainerPlan(arguments: ["-"])
    plan.mounts = operations
    let bytes = try plan.encoded(mountingProc: false)
    var detail = [CChar](repeating: 0, count: Int(STINT_DETAIL_LIMIT))
    guard stint_mounts_here(bytes, bytes.count, &detail, detail.count) == 0 else {
      let code = errno
      let text = detail.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }
      throw IOError(code: code, operation: "mount", subject: String(decoding: text, as: UTF8.self))
    }
  }

  /// Takes away what is mounted at `path`, with all below it; only in what was posted.
  package static func unmount(_ path: String) { umount2(path, Int32(MNT_DETACH)) }
}
