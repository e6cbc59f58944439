// Owns: paths as the kernel reads them: bytes between slashes. Swift's characters are something else: a slash and a
// combining accent after it are one character, so `..` behind it would pass unseen. It must not know any file.

/// Questions about a path's text.
package enum PathText {
  private static let slash = UInt8(ascii: "/")

  /// The names in a path, in order; empty ones (from double slashes) are left out.
  package static func names(_ path: String) -> [String] {
    path.utf8.split(separator: slash).map { String(decoding: $0, as: UTF8.self) }
  }

  /// Whether a name of the path is `..`.
  package static func climbs(_ path: String) -> Bool {
    path.utf8.split(separator: slash).contains { $0.elementsEqual("..".utf8) }
  }

  /// Whether the path begins at the root.
  package static func isAbsolute(_ path: String) -> Bool { path.utf8.first == slash }

  /// Whether a path lies in `directory` or deeper, both without a slash at their end.
  package static func isBelow(_ path: String, _ directory: String) -> Bool {
    path.utf8.starts(with: directory.utf8) && path.utf8.dropFirst(directory.utf8.count).first == slash
  }

  /// The absolute path that a container's path means, with `.` and `..` gone as container runtimes resolve them: by
  /// the text alone, and never above the root. A path without them stays as it is.
  package static func withinRoot(_ path: String) -> String {
    let all = names(path)
    guard all.contains(where: { $0 == "." || $0 == ".." }) else { return isAbsolute(path) ? path : "/" + path }
    var result: [String] = []
    for name in all where name != "." {
      if name == ".." { _ = result.popLast() } else { result.append(name) }
    }
    return "/" + result.joined(separator: "/")
  }

  /// Why nothing may be mounted on a path of a container; nil: it may.
  package static func mountProblem(_ path: String) -> String? {
    let names = names(withinRoot(path))
    if names.isEmpty { return "it is the container's root" }
    if names.first == "proc" { return "it is inside /proc, which is the pod's own" }
    return nil
  }

  /// A path's directory and last name: `/a/b` is `/a` and `b`, `b` is `.` and `b`, `/b` is `/` and `b`.
  package static func split(_ path: String) -> (parent: String, name: String) {
    var trimmed = path.utf8[...]
    while trimmed.count > 1, trimmed.last == slash { trimmed.removeLast() }
    guard let last = trimmed.lastIndex(of: slash) else { return (".", String(decoding: trimmed, as: UTF8.self)) }
    let parent = trimmed[..<last]
    let name = trimmed[trimmed.index(after: last)...]
    return (parent.isEmpty ? "/" : String(decoding: parent, as: UTF8.self), String(decoding: name, as: UTF8.self))
  }
}
