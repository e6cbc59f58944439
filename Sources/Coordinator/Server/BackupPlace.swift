// Owns: where a backup may be put: which file a path means, what is refused there, and what backups that were killed
// have left beside it. It must not know what a backup holds.

import ClusterIO
import Glibc

/// The place of a backup's file.
enum BackupPlace {
  /// Of SQLite's files beside the partial one, with its own.
  static let suffixes = ["", "-journal", "-wal", "-shm"]

  /// The file to be replaced or made: where a link leads, so that the link stays. Whatever is there and is no file of
  /// bytes is refused, since a rename would take a device's or a pipe's place.
  static func destination(_ file: String) throws(StoreError) -> String {
    let streams = ["/dev/stdout", "/dev/stderr", "/dev/fd/", "/proc/"]
    if let stream = streams.first(where: { file.hasPrefix($0) }) {
      throw StoreError("\(file): a backup is not written to a stream (\(stream)): name a file, then copy that")
    }
    guard let found = try? Files.status(file, followLinks: false) else { return file }
    if isRegular(found) { return file }
    guard let real = resolved(file), let status = try? Files.status(real) else {
      throw StoreError("\(file) is a link that leads nowhere: name the file that the backup shall be")
    }
    if status.isDirectory { throw StoreError("\(file) is a directory: name the file that the backup shall be") }
    guard isRegular(status) else {
      throw StoreError(
        "\(file) is a device, a pipe or a socket and stays as it is: name a file that the backup shall be")
    }
    return real
  }

  private static func isRegular(_ status: Files.Status) -> Bool { status.mode & UInt32(S_IFMT) == UInt32(S_IFREG) }

  /// Where a path leads once every link in it is followed; nil: to nothing.
  private static func resolved(_ path: String) -> String? {
    guard let real = realpath(path, nil) else { return nil }
    defer { free(real) }
    return String(cString: real)
  }

  /// What a backup of that process is called until it is whole.
  static func partial(_ name: String, in parent: String, process: Int32) -> String {
    "\(parent)/.\(name).\(process).partial"
  }

  /// Deletes what processes that are no more have left of backups of the same name.
  static func removeRemains(of name: String, in parent: String) {
    let (start, end) = (".\(name).", ".partial")
    for found in (try? Files.list(parent)) ?? [] where found.hasPrefix(start) {
      guard let suffix = suffixes.first(where: { found.hasSuffix(end + $0) }) else { continue }
      guard let process = Int32(found.dropFirst(start.count).dropLast(end.count + suffix.count)), process > 0,
        kill(process, 0) != 0, errno == ESRCH
      else { continue }
      unlink("\(parent)/\(found)")
    }
  }
}
