// What an administrator says about users, there and back, and what is no such message.

import ClusterProto
import Testing

@Suite("Messages about users")
struct UserMessageTests {
  @Test(
    "each message comes back as it was",
    arguments: [
      .create(name: "alice", groups: ["a", "b"], ttlSeconds: 5, request: "r"),
      .create(name: "", groups: [], ttlSeconds: .min, request: ""), .list, .revoke("alice"),
    ] as [UserRequest])
  func roundTrip(request: UserRequest) throws {
    let message = ClientMessage.users(id: 4, request)
    #expect(try ClientMessage(json: try JSON(parsing: message.json.bytes)) == message)
  }

  @Test("too many groups, groups that are no strings, a long request and an unknown deed are refused")
  func malformed() throws {
    let whole: JSON = ["do": "create", "name": "a", "groups": [], "ttlSeconds": 5, "request": "r"]
    #expect(try UserRequest(json: whole) == .create(name: "a", groups: [], ttlSeconds: 5, request: "r"))
    let many = JSON.array((0...UserRequest.groupLimit).map { .string("g\($0)") })
    for (member, value) in [
      ("groups", many), ("groups", [1]), ("request", .string(String(repeating: "x", count: 2_049))), ("request", 1),
      ("do", "dance"), ("ttlSeconds", "5"), ("name", .null),
    ] as [(String, JSON)] {
      var broken = whole
      broken[member] = value
      #expect(throws: MessageError.self) { try UserRequest(json: broken) }
    }
  }
}
