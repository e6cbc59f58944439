// Join tokens as text, the messages of joining, and when a certificate is renewed.

import ClusterProto
import Testing

@Suite("Join tokens and renewal") struct JoinTokenTests {
  private let digest = String(repeating: "0a", count: 32)
  private let secret = String(repeating: "b1", count: 16)

  private func problem(_ text: String) -> String {
    do throws(ProtocolError) {
      let token = try JoinToken(parsing: text)
      return "read as \(token)"
    } catch {
      return error.message
    }
  }

  @Test(
    "a token's text reads back: names and addresses with dots, IPv6 in brackets, several of them, and space around it",
    arguments: [
      ["10.0.0.5:7420"], ["[fd00::5]:7420"], ["stint.example.org:1", "10.0.0.5:65535", "[::1]:7420"], ["localhost:80"],
    ])
  func readsBack(_ addresses: [String]) throws {
    let token = JoinToken(addresses: addresses, authority: digest, id: "ab12", secret: secret)
    #expect(try JoinToken(parsing: " \t\(token.text)\r\n") == token)
    #expect(try JoinToken(parsing: "\(token.line)\n") == token)
    #expect(!"\(token)".contains(secret))
  }

  @Test("what is no token is refused with what is wrong with it, and never quoted")
  func refused() {
    let good = "stint1.10.0.0.5:7420.\(digest).ab12.\(secret)"
    #expect(problem("").contains("begins with stint1."))
    #expect(problem("stint2.x").contains("begins with stint1."))
    #expect(problem("stint1.abc").contains("something is missing"))
    #expect(problem(String(good.dropLast())).contains("was its end cut off?"))
    #expect(problem("stint1.10.0.0.5:7420.\(digest.dropLast(2)).ab12.\(secret)").contains("64 hexadecimal"))
    #expect(problem("stint1.10.0.0.5:7420.\(digest).A_.\(secret)").contains("id is not valid"))
    for address in ["", "10.0.0.5", "10.0.0.5:0", "10.0.0.5:65536", "10.0.0.5:+1", "[::1:7", "::1:7", "a:1,"] {
      #expect(problem("stint1.\(address).\(digest).ab12.\(secret)").contains("addresses"), "\(address)")
    }
    let many = Array(repeating: "a:1", count: 17).joined(separator: ",")
    #expect(problem("stint1.\(many).\(digest).ab12.\(secret)").contains("addresses"))
    #expect(problem(good + String(repeating: "a", count: 5_000)).contains("begins with"))
    for text in [good + "0", good.replacing("ab12", with: "A")] { #expect(!problem(text).contains(secret)) }
  }

  @Test("a token that was wrapped at a paste, or pasted twice, is refused with that, and never quoted")
  func slips() {
    let good = "stint1.stint1.example:7420.\(digest).ab12.\(secret)"
    #expect(problem(good).hasPrefix("read as"))
    for middle in ["\n", " ", "\r\n  "] {
      let broken = problem("\(good.prefix(40))\(middle)\(good.dropFirst(40))\n")
      #expect(broken.contains("a space or a line break is after 40 of its characters"), "\(broken)")
      #expect(broken.contains("was it wrapped when it was copied?"))
    }
    let line = "stint agent --join \(good)"
    for twice in ["\(good)\n\(good)", "\(line)\n\(line)\n", "\(good) \(good)"] {
      #expect(problem(twice).contains("there are several, and one is wanted"), "\(problem(twice))")
    }
    #expect(problem(good + good).contains("there are several, one right after the other"), "\(problem(good + good))")
    for text in [good + good, "\(good) \(good)", "\(good.dropLast(3)) \(good.suffix(3))"] {
      #expect(!problem(text).contains(secret.prefix(20)))
    }
  }

  @Test("mutated tokens are read or refused, and what is read reads back")
  func mutated() throws {
    var random = SplitMix64(seed: 11)
    let good = Array("stint1.10.0.0.5:7420,[fd00::5]:7420.\(digest).ab12.\(secret)".utf8)
    for _ in 0..<20_000 {
      var bytes = good
      for _ in 0...random.below(4) {
        let position = Int(random.below(UInt64(bytes.count)))
        switch random.below(3) {
        case 0: bytes[position] = UInt8(truncatingIfNeeded: random.next())
        case 1: bytes.insert(bytes[Int(random.below(UInt64(bytes.count)))], at: position)
        default: bytes.removeSubrange(position..<min(bytes.count, position + 1 + Int(random.below(8))))
        }
        if bytes.isEmpty { bytes = [0] }
      }
      guard let token = try? JoinToken(parsing: String(decoding: bytes, as: UTF8.self)) else { continue }
      #expect(try JoinToken(parsing: token.text) == token)
    }
  }

  @Test("a secret matches its own digest alone")
  func secrets() {
    let digest = JoinToken.digest(ofSecret: secret)
    #expect(JoinToken.matches(secret: secret, digest: digest))
    for other in ["", secret + "0", String(secret.dropLast()), secret.uppercased()] {
      #expect(!JoinToken.matches(secret: other, digest: digest))
    }
    #expect(!JoinToken.matches(secret: secret, digest: ""))
  }

  @Test("the messages of joining read back, and a request that is too long is refused before it is looked at")
  func messages() throws {
    var request = JoinRequest(token: "ab12", secret: secret, node: "b", request: "PEM")
    #expect(try JoinRequest(json: request.json) == request)
    request.request = String(repeating: "a", count: JoinRequest.requestLimit + 1)
    #expect(throws: MessageError.self) { try JoinRequest(json: request.json) }
    #expect(throws: MessageError.self) { try JoinRequest(json: ["type": "join", "node": 3, "request": ""]) }
    let answers: [JoinAnswer] = [
      .joined(certificate: "c", authority: "a", cluster: "x"), .refused(reason: "no", retryMilliseconds: nil),
      .refused(reason: "later", retryMilliseconds: 5),
    ]
    for answer in answers { #expect(try JoinAnswer(json: answer.json) == answer) }
    let asked: [JoiningRequest] = [
      .createToken(id: "i", digest: digest, ttlSeconds: 5, uses: nil, node: ""),
      .createToken(id: "i", digest: digest, ttlSeconds: 5, uses: 2, node: "b"), .listTokens, .deleteToken(id: "i"),
      .revokeNode("b"),
    ]
    for request in asked { #expect(try JoiningRequest(json: request.json) == request) }
    #expect(try ClientMessage(json: ClientMessage.joining(id: 4, .listTokens).json) == .joining(id: 4, .listTokens))
  }

  @Test("over three years of a thousand nodes each certificate is renewed at 50 to 80 % of its life, and none ends")
  func threeYears() {
    var random = SplitMix64(seed: 5)
    let day: Int64 = 86_400_000
    var first: [Int64] = []
    for _ in 0..<1_000 {
      var now = WallTime(nanoseconds: 1_795_000_000_000_000_000)
      let end = now.adding(milliseconds: 3 * 365 * day)
      var renewals = 0
      while now < end {
        let ends = now.adding(milliseconds: CertificateRenewal.lifetimeMilliseconds)
        var plan = CertificateRenewal(start: now, end: ends, random: random.next())
        let share = Double(plan.due.milliseconds(since: now)) / Double(CertificateRenewal.lifetimeMilliseconds)
        #expect(share >= 0.5 && share <= 0.8)
        if renewals == 0 { first.append(plan.due.milliseconds(since: now)) }
        // The coordinator may be away for up to a week at that time.
        var at = plan.due
        let back = at.adding(milliseconds: Int64(random.below(UInt64(7 * day))))
        while at < back {
          #expect(plan.isDue(at: at))
          plan.failed(at: at)
          at = plan.due
        }
        #expect(!plan.hasEnded(at: at))
        now = at
        renewals += 1
      }
      #expect((14...25).contains(renewals))
    }
    // They joined in one moment, and do not come back in one.
    let sorted = first.sorted()
    let crowd = (0..<900).map { sorted[$0 + 100] - sorted[$0] }.min() ?? 0
    #expect(crowd > day)
  }

  @Test("lives of no length, of an hour and of centuries have their renewal within them")
  func extremes() {
    let start = WallTime(nanoseconds: 1_795_000_000_000_000_000)
    for end in [start, start.adding(milliseconds: 3_600_000), .latest, .earliest] {
      for random in [0, 1, 300, UInt64.max] {
        let plan = CertificateRenewal(start: start, end: end, random: random)
        #expect(plan.due >= start && (plan.due < end || end <= start))
      }
    }
  }
}
