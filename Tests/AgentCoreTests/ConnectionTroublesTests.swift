// What an agent says of the addresses that lead to no session: all of them, each change once.

import AgentCore
import ClusterProto
import Testing

@Suite struct ConnectionTroublesTests {
  private let all = ["10.0.0.1:7420", "stint.example:7420", "10.0.0.4:7420"]
  private var troubles = ConnectionTroubles(advice: "make a token")
  private var now: Int64 = 0

  private mutating func fail(
    _ place: Int, _ kind: ConnectionTroubles.Kind, _ reason: String, after milliseconds: Int64 = 1_000
  ) -> String? {
    now += milliseconds
    return troubles.failed(all[place], kind, reason, among: all, at: BootTime(milliseconds: now))
  }

  @Test("the first failure is told at once, then all addresses in one line, with what each of them came to")
  mutating func told() {
    let clock = "the certificate is valid from 2026-11-28T22:47:22Z, and this machine's clock says 2026-08-01T08:00:0"
    #expect(
      fail(0, .unreachable, "connect 10.0.0.1:7420: Connection refused")
        == "the coordinator is out of reach: 10.0.0.1:7420: Connection refused")
    #expect(fail(1, .unreachable, "no answer in 5 s") == nil)
    let line =
      "the coordinator is out of reach: 10.0.0.1:7420: Connection refused; stint.example:7420: no answer in 5 s; "
    #expect(fail(2, .unreachable, clock + "1Z") == line + "10.0.0.4:7420: \(clock)1Z")
    // A time that goes on is no news; nor is anything else for an hour.
    for second in 2...9 {
      #expect(fail(0, .unreachable, "connect 10.0.0.1:7420: Connection refused") == nil)
      #expect(fail(1, .unreachable, "no answer in 5 s") == nil)
      #expect(fail(2, .unreachable, clock + "\(second)Z") == nil)
    }
    #expect(
      fail(0, .unreachable, "closed by the other side")?.contains("10.0.0.1:7420: closed by the other side; stint")
        == true)
    #expect(fail(0, .unreachable, "connect 10.0.0.1:7420: Connection refused") == nil)
    #expect(fail(0, .unreachable, "closed by the other side", after: 3_600_000) != nil)
    troubles.reached()
    #expect(fail(2, .unreachable, "reset") == "the coordinator is out of reach: 10.0.0.4:7420: reset")
  }

  @Test("who refuses and who is of another authority are told apart from who is not there, with what to do")
  mutating func kinds() {
    _ = fail(0, .unreachable, "connect 10.0.0.1:7420: Connection refused")
    _ = fail(1, .refused, "the key was revoked")
    #expect(
      fail(2, .foreign, "of no authority")
        == "there is no session with a coordinator: 10.0.0.1:7420: Connection refused; stint.example:7420 refuses this "
        + "agent: the key was revoked; 10.0.0.4:7420: of no authority: make a token")
    #expect(!troubles.areForeign(among: all))
    for place in 0...2 { _ = fail(place, .foreign, "of no authority") }
    #expect(troubles.areForeign(among: all))
    let alone = ["10.0.0.1:7420"]
    troubles.reached()
    #expect(
      troubles.failed(alone[0], .refused, "the key was revoked", among: alone, at: BootTime(milliseconds: now))
        == "the coordinator at 10.0.0.1:7420 refuses this agent: the key was revoked")
    // What keeps it from every address stands alone.
    let own = troubles.failed(
      ConnectionTroubles.everywhere, .unreachable, "the identity is not read", among: all,
      at: BootTime(milliseconds: now))
    #expect(own == "the coordinator is out of reach: the identity is not read")
  }

  @Test("reasons that change without end are told a bounded number of times an hour, and cut")
  mutating func bounded() {
    var lines = 0
    for turn in 0..<10_000 {
      // Digits would not be news.
      let reason = String(repeating: "x", count: turn % 1_000) + String(repeating: "y", count: 1_000)
      guard let line = fail(turn % 3, .unreachable, reason, after: 100) else { continue }
      lines += 1
      #expect(line.utf8.count < 2_000)
    }
    #expect((1...ToldReasons.limit + 1).contains(lines), "\(lines)")
  }
}
