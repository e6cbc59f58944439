// Watches from a thread of its own whether a path still leads to what it led to (a keeper's data directory, an agent's
// lock in it), and reports when it has not for some time. The thread may hang on a stuck disk; nobody waits for it.
// Knows no pods.

import ClusterIO
import Glibc

/// A directory or file, told apart from what is put at its path later.
struct DirectoryPlace: Sendable {
  let path: String
  private let own: Files.Status

  /// What the path leads to now.
  init(path: String) throws(IOError) {
    self.path = path
    own = try Files.status(path)
  }

  /// The path leads to nothing, or elsewhere. Another error (an unreadable disk, a stale mount) says nothing. May wait
  /// for a disk.
  var isLost: Bool {
    do throws(IOError) {
      let status = try Files.status(path)
      return status.device != own.device || status.inode != own.inode
    } catch {
      return error.code == ENOENT || error.code == ENOTDIR
    }
  }

  /// Why nothing is made below one that is lost. A file made at the old path would be nobody's, and make a directory
  /// there into which the true one can no longer be moved back.
  var words: String {
    "the node's data directory \(path) was moved away, deleted or replaced: nothing new is made there. Move it back, "
      + "or start the agent on it where it is now"
  }
}

/// Reports once that the directory or file was deleted, moved away or replaced by another one.
enum DirectoryWatch {
  private enum Word: Sendable {
    case doubt(Bool)
    case lost
  }

  /// Begins to watch, until the process ends. `lost` is called on the loop when for `patienceMilliseconds` each look
  /// found the path to lead to nothing or elsewhere. Another error (an unreadable disk, a stale mount) says nothing.
  /// `doubted` is called with true when a look finds that, with false when one does no more.
  static func begin(
    loop: EventLoop, path: String, patienceMilliseconds: Int64, doubted: @escaping (Bool) -> Void = { _ in },
    lost: @escaping () -> Void
  ) throws(IOError) {
    let place = try DirectoryPlace(path: path)
    let mailbox = try Mailbox<Word>()
    try loop.attach(mailbox) { words in
      for word in words {
        switch word {
        case .doubt(let isLost): doubted(isLost)
        case .lost: lost()
        }
      }
    }
    let worker = try WorkerThread(name: "directory")
    // Kept for ever: giving it up waits for its work, which never ends and may hang.
    _ = Unmanaged.passRetained(worker)
    let pause = min(max(20, patienceMilliseconds / 6), 1_000)
    worker.post {
      var since: Int64?
      while true {
        poll(nil, 0, Int32(clamping: pause))
        guard place.isLost else {
          if since != nil { mailbox.post(.doubt(false)) }
          since = nil
          continue
        }
        let now = Clocks.boot()
        if since == nil { mailbox.post(.doubt(true)) }
        let first = since ?? now
        since = first
        if now - first >= patienceMilliseconds * 1_000_000 { return mailbox.post(.lost) }
      }
    }
  }
}
