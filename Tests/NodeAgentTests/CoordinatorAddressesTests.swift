// Where an agent looks for its coordinator: it follows what the coordinator tells, keeps what somebody gave once it was
// true, and believes no nonsense.

import ClusterIO
import ClusterProto
import NodeAgent
import Testing

@Suite("Where an agent looks for its coordinator") struct CoordinatorAddressesTests {
  private static let old = SocketAddress.tcp(host: "10.0.0.1", port: 7420)
  private static let new = SocketAddress.tcp(host: "stint.example", port: 7420)

  @Test("what the coordinator has told is tried beside what the agent was given, also after a start")
  func follows() throws {
    let addresses = CoordinatorAddresses(given: [Self.old], told: "", kept: "10.0.0.1:7420\n")
    #expect(addresses.reached(Self.old, also: []) == nil)
    let notice = CoordinatorsNotice(addresses: ["stint.example:7420", "10.0.0.1:7420"])
    let text = try #require(addresses.take(notice))
    #expect(addresses.take(notice) == nil)
    #expect(addresses.next() == Self.old)
    #expect(addresses.next() == Self.new)
    let later = CoordinatorAddresses(given: [Self.old], told: text, kept: "10.0.0.1:7420\n")
    #expect(later.all == [Self.old, Self.new])
    // A word replaces the one before, never what was given.
    _ = later.take(CoordinatorsNotice(addresses: ["[fd00::1]:7420"]))
    #expect(later.all == [Self.old, .tcp(host: "fd00::1", port: 7420)])
  }

  @Test("where the coordinator was last is tried between all others while that machine says no at once")
  func returns() throws {
    let dead = (1...3).map { SocketAddress.tcp(host: "10.0.1.\($0)", port: 7420) }
    let addresses = CoordinatorAddresses(given: [Self.old], told: dead.map { "\($0)\n" }.joined(), kept: "")
    _ = addresses.reached(Self.old, also: [])
    var tried: [SocketAddress?] = []
    for _ in 0..<7 {
      let address = try #require(addresses.next())
      tried.append(address)
      addresses.failed(address, atOnce: address == Self.old)
      #expect(addresses.isRoundOver == (address == dead[2]))
    }
    #expect(tried == [Self.old, dead[0], Self.old, dead[1], Self.old, dead[2], Self.old])
    // Its machine is gone: it takes its turn like the others, or a new place would be found half as fast.
    addresses.failed(Self.old, atOnce: false)
    #expect((0..<5).map { _ in addresses.next() } == [Self.old, dead[0], dead[1], dead[2], Self.old])
    // The next start knows by the file where it was, whatever the coordinator names first.
    _ = addresses.reached(dead[1], also: [])
    let notice = CoordinatorsNotice(addresses: dead.map(\.description))
    #expect(addresses.take(notice) == [dead[1], dead[0], dead[2]].map { "\($0)\n" }.joined())
    #expect(addresses.next() == dead[1])
  }

  @Test("an address that somebody gives is kept once the coordinator was there, and a token's of its authority too")
  func keepsWhatWasGiven() throws {
    let addresses = CoordinatorAddresses(given: [Self.new], told: "", kept: "10.0.0.1:7420\n")
    #expect(addresses.reached(Self.old, also: []) == nil)
    #expect(addresses.reached(Self.new, also: []) == "stint.example:7420\n10.0.0.1:7420\n")
    #expect(
      addresses.reached(Self.new, also: ["10.0.0.9:7420"]) == "stint.example:7420\n10.0.0.9:7420\n10.0.0.1:7420\n")
    for number in 10..<30 { _ = addresses.reached(Self.new, also: ["10.0.1.\(number):7420"]) }
    #expect(addresses.all.count == CoordinatorsNotice.most)
    #expect(addresses.last == Self.new && addresses.next() == Self.new)
  }

  @Test("what is no address of a machine is believed of nobody")
  func nonsense() throws {
    let addresses = CoordinatorAddresses(given: [Self.old], told: "a b:1\n\u{0}\n:7\n", kept: "0.0.0.0:7420\nx:0\n")
    let odd = [
      "127.0.0.1:7420", "[::1]:7420", "0.0.0.0:7420", "[::]:1", "a_b:1", "no port", "x:0", "x:70000", "../etc:1",
      "a\nb:7",
    ]
    #expect(addresses.take(CoordinatorsNotice(addresses: odd)) == nil)
    #expect(addresses.all == [Self.old])
    let many = CoordinatorsNotice(addresses: (0..<9).map { "h\($0):1" })
    #expect(throws: MessageError.self) { try CoordinatorsNotice(json: many.json) }
    for json: JSON in [
      ["type": "coordinators"], ["type": "coordinators", "addresses": [1]],
      ["type": "coordinators", "addresses": [.string(String(repeating: "a", count: 300))]],
    ] { #expect(throws: MessageError.self) { try CoordinatorsNotice(json: json) } }
    let notice = CoordinatorsNotice(addresses: ["a:1"])
    #expect(try CoordinatorsNotice(json: notice.json) == notice)
    #expect(try CoordinatorsNotice(json: ["type": "answer"]) == nil)
  }
}
