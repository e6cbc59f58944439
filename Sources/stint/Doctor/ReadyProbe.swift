// Owns: one request to the Kubernetes API's /readyz, as whom the kubeconfig names: whether it answers, what, and what
// time it is there. It must not judge the answer.

import ClusterIO
import ClusterProto
import Coordinator
import Glibc

/// What /readyz said.
struct ReadyAnswer: Equatable {
  var code: Int
  var body: String
  /// The server's time, when it answered; nil: it did not say.
  var date: WallTime?
}

/// Asks.
enum ReadyProbe {
  private static let patience: Int64 = 5_000_000_000
  private static let answerLimit = 64 << 10

  /// The answer of the first of the addresses that has one; throws what the last one said.
  static func ask(_ upstream: PageUpstream) throws -> ReadyAnswer {
    var problem = "it has no address"
    for address in upstream.addresses {
      do {
        return try ask(upstream, address)
      } catch let error as CommandError {
        problem = "\(address): \(error.message)"
      } catch let error as IOError {
        problem = "\(address): \(error)"
      }
    }
    throw CommandError(problem)
  }

  private static func ask(_ upstream: PageUpstream, _ address: SocketAddress) throws -> ReadyAnswer {
    let loop = try EventLoop()
    let connection = try Connection.connect(loop: loop, to: address)
    try connection.startTLS(upstream.tls, name: upstream.name)
    var bytes: [UInt8] = []
    var end: Connection.CloseReason?
    connection.onOpen = {
      let token = upstream.token.isEmpty ? "" : "Authorization: Bearer \(upstream.token)\r\n"
      let head = "GET \(upstream.prefix)/readyz HTTP/1.1\r\nHost: \(upstream.host)\r\nConnection: close\r\n"
      connection.send(Array("\(head)Accept: */*\r\n\(token)\r\n".utf8))
    }
    connection.onBytes = { bytes += $0.prefix(max(0, answerLimit - bytes.count)) }
    connection.onClose = { end = $0 }
    let deadline = Clocks.boot() + patience
    while end == nil, Clocks.boot() < deadline, answer(bytes, isWhole: false) == nil {
      try loop.runOnce(timeoutMilliseconds: 100)
    }
    connection.onClose = nil
    connection.close()
    if let answer = answer(bytes, isWhole: end != nil) { return answer }
    throw CommandError(end.map { "\($0)" } ?? "no answer within 5 s")
  }

  /// The answer in what has come; nil while it is not all there. `isWhole`: no more will come.
  static func answer(_ bytes: [UInt8], isWhole: Bool) -> ReadyAnswer? {
    let text = String(decoding: bytes, as: UTF8.self)
    guard let middle = text.firstRange(of: "\r\n\r\n") else { return nil }
    let lines = text[..<middle.lowerBound].split(separator: "\r\n")
    let words = (lines.first ?? "").split(separator: " ")
    guard words.count > 1, words[0].hasPrefix("HTTP/"), let code = Int(words[1]) else { return nil }
    var headers: [String: Substring] = [:]
    for line in lines.dropFirst() {
      let sides = line.split(separator: ":", maxSplits: 1)
      if sides.count == 2 { headers[sides[0].lowercased()] = sides[1].drop { $0 == " " } }
    }
    let body = text[middle.upperBound...]
    guard isWhole || headers["content-length"].flatMap({ Int($0) }).map({ body.utf8.count >= $0 }) == true else {
      return nil
    }
    return ReadyAnswer(
      code: code, body: String(body.prefix(1_000)), date: headers["date"].flatMap { HTTPDate.read($0) })
  }
}

/// `Tue, 01 Dec 2026 14:18:42 GMT`.
enum HTTPDate {
  private static let months: [Substring] = [
    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
  ]

  static func read(_ text: Substring) -> WallTime? {
    let words = text.split(separator: " ")
    guard words.count == 6, words[5] == "GMT", let month = months.firstIndex(of: words[2]) else { return nil }
    let number = month + 1 < 10 ? "0\(month + 1)" : "\(month + 1)"
    return WallTime(rfc3339: "\(words[3])-\(number)-\(words[1])T\(words[4])Z")
  }
}
