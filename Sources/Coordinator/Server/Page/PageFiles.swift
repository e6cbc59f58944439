// Owns: the page's files as they are served: names, types, tags, a compressed copy, and the header fields that keep
// anything foreign out of the page. It must not know connections, nor what the page shows.

import CPage
import ClusterIO
import ClusterProto

/// One plain file of the page.
package struct PageFile: Sendable {
  /// Its name, without a folder.
  package let name: String
  /// What it is, for Content-Type.
  package let type: String
  /// The file as it is.
  package let bytes: [UInt8]
  /// The same in gzip.
  let gzip: [UInt8]
  /// The ETag of this very content.
  let tag: String
}

/// All of them.
package enum PageFiles {
  /// In the order of their names.
  package static let all: [PageFile] = {
    var files: [PageFile] = []
    while let entry = stint_page_file_at(files.count)?.pointee {
      let name = String(cString: entry.name)
      let bytes = Array(UnsafeBufferPointer(start: entry.bytes, count: entry.size))
      files.append(
        PageFile(
          name: name, type: type(of: name), bytes: bytes,
          gzip: GzipStream()?.write(bytes, isLast: true) ?? [], tag: "\"\(SHA256.hex(of: bytes).prefix(20))\""))
    }
    return files
  }()

  private static let named = Dictionary(uniqueKeysWithValues: all.map { ($0.name, $0) })

  /// Where the page is served.
  static let root = "/ui/"

  /// Of every answer under `root`: scripts, styles and connections of this place alone, nothing inline, in no frame.
  /// Text cannot become markup: the browser refuses where a script would try (Trusted Types).
  static let guards = [
    (
      "Content-Security-Policy",
      "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; "
        + "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; "
        + "trusted-types 'none'"
    ),
    ("X-Content-Type-Options", "nosniff"), ("X-Frame-Options", "DENY"), ("Referrer-Policy", "no-referrer"),
    ("Cross-Origin-Opener-Policy", "same-origin"), ("Cross-Origin-Resource-Policy", "same-origin"),
  ]

  private static func type(of name: String) -> String {
    if name.hasSuffix(".html") { return "text/html; charset=utf-8" }
    if name.hasSuffix(".css") { return "text/css; charset=utf-8" }
    if name.hasSuffix(".svg") { return "image/svg+xml" }
    return "text/javascript; charset=utf-8"
  }

  /// What a request for a path under `root` gets; nil: the path is none of the page's.
  static func answer(_ request: HTTPRequest) -> PageAnswer? {
    let path = request.target.utf8.prefix { $0 != 0x3F && $0 != 0x23 }
    guard path.starts(with: root.utf8.dropLast()) else { return nil }
    let rest = Substring(path).dropFirst(root.utf8.count - 1)
    guard rest.isEmpty || rest.first == "/" else { return nil }
    guard request.method == "GET" || request.method == "HEAD" else {
      return .text(405, "this is a page: GET and HEAD\n")
    }
    if rest.isEmpty { return PageAnswer(code: 308, fields: [("Location", root)]) }
    guard let file = named[rest == "/" ? "index.html" : String(rest.dropFirst())] else {
      return .text(404, "the page has no such file\n")
    }
    var answer = PageAnswer(code: 200, type: file.type, fields: [("ETag", file.tag)])
    let known = request.header("if-none-match")?.split(separator: ",").map(\.trimmingSpaces) ?? []
    if known.contains(where: { $0 == file.tag || $0 == "W/\(file.tag)" }) {
      answer.code = 304
    } else if HTTPAnswer.acceptsGzip(request.header("accept-encoding")), !file.gzip.isEmpty {
      answer.bytes = file.gzip
      answer.isGzip = true
    } else {
      answer.bytes = file.bytes
    }
    return answer
  }
}

/// An answer to a request for the page.
struct PageAnswer {
  var code: Int
  var type = ""
  var bytes: [UInt8] = []
  var isGzip = false
  /// Header fields of its own, to which the guards come.
  var fields: [(String, String)] = []

  static func text(_ code: Int, _ text: String) -> PageAnswer {
    PageAnswer(code: code, type: "text/plain; charset=utf-8", bytes: Array(text.utf8))
  }

  /// The fields as lines of a head.
  var lines: String {
    (fields + PageFiles.guards).reduce(into: "") { $0 += "\($1.0): \($1.1)\r\n" }
      + (bytes.isEmpty || isGzip ? "" : "Vary: Accept-Encoding\r\n")
  }
}
