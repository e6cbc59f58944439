// The users and groups of an image, as its own files name them: read from its layers as an overlay of them would show
// the file, without mounting one. Knows no container.

import ClusterIO
import Glibc

/// Reads /etc/passwd and /etc/group of stacked layers.
enum ImageUsers {
  /// Of one file.
  static let limit = 1 << 20

  /// The text of /etc/`name`; empty: the image has none, or a link instead. `layers`: the topmost first.
  static func read(_ name: String, layers: [String]) throws(IOError) -> String {
    for path in layers {
      let root = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
      guard root >= 0 else { throw IOError.last("open", path) }
      defer { close(root) }
      switch look(root, "etc") {
      case .absent: continue
      case .hidden, .other: return ""
      case .there: break
      }
      let etc = openat(root, "etc", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)
      guard etc >= 0 else { return "" }
      defer { close(etc) }
      switch look(etc, name) {
      case .absent: if LayerEntry.isOpaque(etc) { return "" }
      case .hidden, .there: return ""
      case .other: return try text(etc, name)
      }
    }
    return ""
  }

  private enum Found { case absent, hidden, there, other }

  private static func look(_ directory: Int32, _ name: String) -> Found {
    var facts = stat()
    guard fstatat(directory, name, &facts, AT_SYMLINK_NOFOLLOW) == 0 else { return .absent }
    if LayerEntry.isWhiteout(facts) { return .hidden }
    return facts.st_mode & S_IFMT == S_IFDIR ? .there : .other
  }

  private static func text(_ directory: Int32, _ name: String) throws(IOError) -> String {
    let file = openat(directory, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC)
    guard file >= 0 else { return "" }
    defer { close(file) }
    var facts = stat()
    guard fstat(file, &facts) == 0, facts.st_mode & S_IFMT == S_IFREG else { return "" }
    guard facts.st_size <= limit else {
      throw IOError(
        operation: "image", subject: "/etc/\(name)", message: "it has more than \(limit >> 20) MiB", code: EFBIG)
    }
    var bytes = [UInt8](repeating: 0, count: Int(facts.st_size))
    let count = bytes.withUnsafeMutableBytes { pread(file, $0.baseAddress, $0.count, 0) }
    return String(decoding: bytes[..<max(count, 0)], as: UTF8.self)
  }
}
