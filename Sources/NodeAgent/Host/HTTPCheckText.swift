// Owns: the few words of HTTP/1.1 that a probe says and hears: a GET, the head of its answer, a redirect's address. It
// must not touch a socket, nor know whether an answer is good.

import ClusterProto

enum HTTPCheckText {
  /// The version of Kubernetes that the API says it is.
  private static let version = "1.31"

  static func request(_ get: CareAction.Get, agent: String) -> [UInt8] {
    func given(_ name: String) -> String? { get.headers.last { $0.name.lowercased() == name }?.value }
    var lines = ["GET \(target(get.path)) HTTP/1.1"]
    lines.append("Host: \(given("host") ?? CareAction.place(get.host, get.port))")
    lines.append("User-Agent: \(given("user-agent") ?? "\(agent)/\(version)")")
    let accept = given("accept") ?? "*/*"
    if !accept.isEmpty { lines.append("Accept: \(accept)") }
    let own: Set = ["host", "user-agent", "accept", "connection", "content-length", "transfer-encoding"]
    for header in get.headers where !own.contains(header.name.lowercased()) {
      lines.append("\(header.name): \(header.value)")
    }
    lines.append("Connection: close")
    return Array((lines.joined(separator: "\r\n") + "\r\n\r\n").utf8)
  }

  /// Whether it can be a line of a head.
  static func isField(_ header: CareAction.Header) -> Bool {
    !header.name.isEmpty && header.name.utf8.allSatisfy { $0 > 32 && $0 < 127 && $0 != 58 }
      && header.value.utf8.allSatisfy { $0 >= 32 && $0 != 127 || $0 == 9 }
  }

  /// What may not stand in a request's line is written by its number; what begins with `#` stays here.
  private static func target(_ path: String) -> String {
    let digits = Array("0123456789ABCDEF".utf8)
    let refused = Set("\"<>\\^`{|}".utf8)
    var result: [UInt8] = path.hasPrefix("/") ? [] : [47]
    for byte in path.utf8.prefix(while: { $0 != 35 }) {
      if byte > 32, byte < 127, !refused.contains(byte) {
        result.append(byte)
      } else {
        result += [37, digits[Int(byte >> 4)], digits[Int(byte & 15)]]
      }
    }
    return String(decoding: result, as: UTF8.self)
  }

  /// Where a redirect leads, with the same headers; nil: nowhere that a GET could go.
  static func redirect(_ get: CareAction.Get, to location: String) -> CareAction.Get? {
    var next = get
    var rest = Substring(location)
    for (scheme, isSecure) in [("http:", false), ("https:", true)] where rest.lowercased().hasPrefix(scheme) {
      rest = rest.dropFirst(scheme.count)
      guard rest.hasPrefix("//") else { return nil }
      next.isSecure = isSecure
    }
    if rest.hasPrefix("//") {
      let authority = rest.dropFirst(2).prefix { !"/?#".contains($0) }
      rest = rest.dropFirst(2 + authority.count)
      let place = authority.drop { $0 != "@" }.isEmpty ? authority : authority.drop { $0 != "@" }.dropFirst()
      let colon = place.hasSuffix("]") ? nil : place.lastIndex(of: ":")
      let host = place[..<(colon ?? place.endIndex)].filter { $0 != "[" && $0 != "]" }
      guard !host.isEmpty else { return nil }
      next.host = String(host)
      next.port = .number(next.isSecure ? 443 : 80)
      if let colon, let port = UInt16(place[place.index(after: colon)...]) { next.port = .number(Int64(port)) }
      next.path = rest.hasPrefix("/") ? String(rest) : "/" + rest
    } else if rest.hasPrefix("/") {
      next.path = String(rest)
    } else {
      let path = get.path.prefix { $0 != "?" && $0 != "#" }
      let folder = path[..<(path.lastIndex(of: "/") ?? path.startIndex)]
      next.path = rest.hasPrefix("?") ? "\(path)\(rest)" : "\(folder)/\(rest)"
    }
    return next
  }

  /// The first line of what is no answer in HTTP; nil: it may still become one.
  static func malformed(_ bytes: [UInt8]) -> String? {
    let start = Array("HTTP/1.".utf8)
    if bytes.prefix(start.count).elementsEqual(start.prefix(bytes.count)) { return nil }
    return String(decoding: bytes.prefix { $0 != 10 && $0 != 13 }.prefix(100), as: UTF8.self)
  }

  /// The head of an answer.
  struct Head: Equatable {
    var status = 0
    var location: String?
    /// Where its body begins.
    var end = 0
    private var length: Int?
    private var isChunked = false

    /// nil: it is not whole yet, or none. Words on the way to an answer (1xx) are passed over.
    init?(_ bytes: [UInt8]) {
      var start = 0
      repeat {
        guard let found = Head.end(of: bytes, from: start) else { return nil }
        let text = String(decoding: bytes[start..<found], as: UTF8.self)
        let lines = text.split(whereSeparator: \.isNewline)
        let words = (lines.first ?? "").split(separator: " ", maxSplits: 2)
        guard words.count >= 2, words[0].hasPrefix("HTTP/1."), words[1].utf8.count == 3, let status = Int(words[1])
        else { return nil }
        self.status = status
        end = found
        start = found
        (location, length, isChunked) = (nil, nil, false)
        for line in lines.dropFirst() { take(line) }
      } while (100..<200).contains(status)
    }

    private mutating func take(_ line: Substring) {
      guard let colon = line.firstIndex(of: ":") else { return }
      let value = line[line.index(after: colon)...].drop { $0 == " " || $0 == "\t" }
      switch line[..<colon].lowercased() {
      case "location": location = String(value)
      case "content-length": length = Int(value)
      case "transfer-encoding": isChunked = value.lowercased().hasSuffix("chunked")
      default: break
      }
    }

    private static func end(of bytes: [UInt8], from start: Int) -> Int? {
      var position = start
      while let feed = bytes[position...].firstIndex(of: 10) {
        position = feed + 1
        if bytes[position...].starts(with: [13, 10]) { return position + 2 }
        if bytes[position...].starts(with: [10]) { return position + 1 }
      }
      return nil
    }

    var isRedirect: Bool { [301, 302, 303, 307, 308].contains(status) }

    /// Nothing more comes, as far as the answer itself says.
    func isWhole(_ body: ArraySlice<UInt8>) -> Bool {
      if status == 204 || status == 304 { return true }
      if isChunked { return body.suffix(5).elementsEqual([48, 13, 10, 13, 10]) }
      return length.map { body.count >= $0 } ?? false
    }
  }
}
