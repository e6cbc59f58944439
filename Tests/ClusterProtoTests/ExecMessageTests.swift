// What agent and keeper say of a process in a container, there and back, and what is no such message.

import ClusterProto
import Testing

@Suite("Messages about processes in containers")
struct ExecMessageTests {
  private static let ends: [ExecEnd] =
    ExecRefusal.allCases.map { .refused($0, message: "because of \($0)") } + [
      .exited(code: 0), .exited(code: 137), .failed(code: 127, message: "exec: \"x\": not \"there\""), .gone,
    ]

  @Test("a request survives the wire, with a terminal and without")
  func requests() throws {
    var request = ExecRequest(attempt: 7, container: "main", arguments: ["sh", "-c", "echo ü; exit 3", ""])
    for terminal in [nil, TerminalSize(columns: 80, rows: 24), TerminalSize(columns: 0, rows: .max)] {
      request.terminal = terminal
      #expect(try ExecRequest(json: try JSON(parsing: request.json.text)) == request)
    }
  }

  @Test("a request for an input survives the wire, and no other request is one")
  func inputRequests() throws {
    let request = InputRequest(attempt: 7, container: "main")
    #expect(try InputRequest(json: try JSON(parsing: request.json.text)) == request)
    let exec = ExecRequest(attempt: 7, container: "main", arguments: ["sh"])
    #expect(try InputRequest(json: exec.json) == nil)
    #expect(throws: MessageError.self) { try InputRequest(json: ["type": "input", "attempt": 7]) }
  }

  @Test("what a container has is read as its manifest has it, and survives the wire in the answer")
  func inputs() throws {
    for json in [
      [:], ["stdin": true], ["stdin": true, "stdinOnce": true], ["tty": true],
      ["stdin": true, "stdinOnce": true, "tty": true],
    ] as [JSON] {
      let input = ContainerInput(json: json)
      #expect(input.json == json)
      #expect(input.endsWithFirst == (json["stdinOnce"] == true && json["tty"] == nil))
      let reply = ExecReply.input(input)
      #expect(try ExecReply(json: try JSON(parsing: reply.json.text)) == reply)
    }
  }

  @Test("an environment says what its terminal can do once, and its own word stands")
  func terminalNames() {
    var environment = ["A=b"]
    TerminalSize.name(in: &environment)
    TerminalSize.name(in: &environment)
    #expect(environment == ["A=b", "TERM=xterm"])
    environment = ["TERM=", "A=b"]
    TerminalSize.name(in: &environment)
    #expect(environment == ["TERM=", "A=b"])
  }

  @Test("every answer survives the wire", arguments: [ExecReply.started] + ends.map { .ended($0) })
  func replies(_ reply: ExecReply) throws {
    #expect(try ExecReply(json: try JSON(parsing: reply.json.text)) == reply)
  }

  @Test("a terminal larger than one can be has the largest size, one with less than nothing has none")
  func sizes() throws {
    let size = try TerminalSize(json: ["columns": 1_000_000, "rows": -3], "terminal")
    #expect(size == TerminalSize(columns: .max, rows: 0))
  }

  @Test("a refusal of a newer keeper is read as one", arguments: ["tired", ""])
  func newerRefusal(_ reason: String) throws {
    let reply = try ExecReply(json: ["type": "refused", "reason": .string(reason), "message": "m"])
    #expect(reply == .ended(.refused(.invalid, message: "m")))
  }

  @Test(
    "what is no message is refused by name",
    arguments: [
      [:], "exec", ["type": "exec"], ["type": "exec", "attempt": 1, "container": "c", "arguments": []],
      ["type": "exec", "attempt": 1, "container": "c", "arguments": "sh"],
      [
        "type": "exec", "attempt": 1, "container": "c", "arguments": ["sh"],
        "terminal": ["columns": "wide", "rows": 1],
      ],
      ["type": "start", "attempt": 1, "container": "c", "arguments": ["sh"]],
    ] as [JSON])
  func strange(_ json: JSON) {
    #expect(throws: MessageError.self) { try ExecRequest(json: json) }
    #expect(throws: MessageError.self) { try ExecReply(json: json) }
  }
}
