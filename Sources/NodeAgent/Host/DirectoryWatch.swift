// Watches from a thread of its own whether a path still leads to what it led to (a keeper's data directory, an agent's
// lock in it), and reports when it has not for some time. The thread may hang on a stuck disk; nobody waits for it.
// Knows no pods.

import ClusterIO
import Glibc

/// Reports once that the directory or file was deleted, moved away or replaced by another one.
enum DirectoryWatch {
  /// Begins to watch, until the process ends. `lost` is called on the loop when for `patienceMilliseconds` each look
  /// found the path to lead to nothing or elsewhere. Another error (an unreadable disk, a stale mount) says nothing.
  static func begin(
    loop: EventLoop, path: String, patienceMilliseconds: Int64, lost: @escaping () -> Void
  ) throws(IOError) {
    let own = try Files.status(path)
    let mailbox = try Mailbox<Void>()
    try loop.attach(mailbox) { _ in lost() }
    let worker = try WorkerThread(name: "directory")
    // Kept for ever: giving it up waits for its work, which never ends and may hang.
    _ = Unmanaged.passRetained(worker)
    let pause = max(20, patienceMilliseconds / 6)
    worker.post {
      var since: Int64?
      while true {
        poll(nil, 0, Int32(clamping: pause))
        guard Self.isLost(path, own) else {
          since = nil
          continue
        }
        let now = Clocks.boot()
        let first = since ?? now
        since = first
        if now - first >= patienceMilliseconds * 1_000_000 { return mailbox.post(()) }
      }
    }
  }

  private static func isLost(_ path: String, _ own: Files.Status) -> Bool {
    do throws(IOError) {
      let status = try Files.status(path)
      return status.device != own.device || status.inode != own.inode
    } catch {
      return error.code == ENOENT || error.code == ENOTDIR
    }
  }
}
