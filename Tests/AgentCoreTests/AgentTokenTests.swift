// When an agent asks for the tokens of its pods again, and what it does with them.

import AgentCore
import ClusterProto
import Testing

@Suite("Tokens of pods at their agent")
struct AgentTokenTests {
  private static func token(_ seconds: Int64, _ path: String = "token") -> PodToken {
    PodToken(volume: "v", path: path, seconds: seconds, content: .signed("text"))
  }

  private static func asked(_ effects: [AgentEffect]) -> [AttemptNumber] {
    effects.sent.flatMap { message -> [AttemptNumber] in if case .tokens(let numbers) = message { numbers } else { [] }
    }
  }

  private static func written(_ effects: [AgentEffect]) -> [AttemptNumber] {
    effects.compactMap { if case .writeTokens(let number, _) = $0 { number } else { nil } }
  }

  /// A bench that runs attempt 1 with these tokens since its second 1.
  private func running(_ tokens: [PodToken]) throws -> AgentBench {
    var bench = AgentBench()
    bench.begin()
    bench.desired = [1: .run]
    var body = assignment()
    body.tokens = tokens
    bench.answer(assignments: [body])
    bench.send(.prepared(1, number: try bench.preparation(1), try plan(body)))
    bench.keeper([report(1)])
    return bench
  }

  /// Lives on for so many seconds; what was asked for meanwhile.
  private func live(_ bench: inout AgentBench, seconds: Int) -> [AttemptNumber] {
    let before = bench.all.count
    bench.live(seconds: seconds)
    return Self.asked(Array(bench.all[before...]))
  }

  @Test("tokens are asked for again at four fifths of the shortest life, and the fresh ones are written and counted on")
  func renewal() throws {
    var bench = try running([Self.token(3_600), Self.token(600, "short")])
    #expect(live(&bench, seconds: 479).isEmpty)
    #expect(live(&bench, seconds: 2) == [1])
    let fresh = AttemptTokens(attempt: 1, tokens: [Self.token(600), Self.token(600, "short")])
    #expect(Self.written(bench.hear(.tokens([fresh]))) == [1])
    #expect(live(&bench, seconds: 478).isEmpty)
    #expect(live(&bench, seconds: 3) == [1])
  }

  @Test("an answer that does not come is asked for again, also by the next session")
  func lost() throws {
    var bench = try running([Self.token(600)])
    #expect(live(&bench, seconds: 482) == [1])
    #expect(live(&bench, seconds: 31) == [1])
    bench.send(.coordinatorClosed(bench.connection))
    #expect(Self.asked(bench.pass(40_000)).isEmpty)
    bench.session = "session-b"
    let effects = bench.register()
    #expect(Self.asked(effects + bench.answer()) == [1])
  }

  @Test("a pod without tokens, one that has ended and one that is gone are not asked about")
  func none() throws {
    var bench = try running([])
    #expect(live(&bench, seconds: 2_000).isEmpty)
    bench = try running([Self.token(600)])
    bench.keeper([report(1, revision: 2, phase: .succeeded)])
    #expect(live(&bench, seconds: 1_000).isEmpty)
    let late = AttemptTokens(attempt: 1, tokens: [Self.token(600)])
    #expect(Self.written(bench.hear(.tokens([late, AttemptTokens(attempt: 99, tokens: [Self.token(600)])]))).isEmpty)
  }

  @Test("an agent that starts anew asks about the pods that it finds, once for those without tokens")
  func adopted() throws {
    var bench = AgentBench()
    bench.desired = [1: .run, 2: .run]
    bench.begin(inventory: [report(1), report(2), report(3, phase: .failed)])
    bench.answer()
    #expect(Self.asked(bench.all) == [1, 2])
    bench.hear(
      .tokens([AttemptTokens(attempt: 1, tokens: [Self.token(600)]), AttemptTokens(attempt: 2, tokens: [])]))
    #expect(Self.written(bench.all) == [1])
    #expect(live(&bench, seconds: 485) == [1])
  }

  @Test(
    "lives that cannot be are asked for again in ten seconds at the soonest, and never trap",
    arguments: [
      Int64.min, -1, 0, 1, .max,
    ])
  func extremes(_ seconds: Int64) throws {
    var bench = try running([Self.token(seconds)])
    #expect(live(&bench, seconds: 9).isEmpty)
    #expect(live(&bench, seconds: 3) == (seconds == .max ? [] : [1]))
  }

  @Test("a token goes over the wire and back, and one that nobody has signed leaves empty")
  func messages() throws {
    let signed = CoordinatorMessage.tokens([AttemptTokens(attempt: 7, tokens: [Self.token(600)])])
    #expect(try CoordinatorMessage(json: signed.json) == signed)
    #expect(try AgentMessage(json: AgentMessage.tokens([7]).json) == .tokens([7]))
    var body = assignment()
    body.tokens = [Self.token(600)]
    body.api = APIAddress(host: "10.0.0.1", port: 7_480, native: 7_421)
    let wanted = CoordinatorMessage.assignments([body])
    #expect(try CoordinatorMessage(json: wanted.json) == wanted)
    let bare = PodToken(volume: "v", path: "p", seconds: 600, content: .claims(["sub": "robot"]))
    body.tokens = [bare]
    let json = CoordinatorMessage.assignments([body]).json
    #expect(!json.text.contains("robot"))
    guard case .assignments(let read) = try CoordinatorMessage(json: json) else { return }
    #expect(read.first?.tokens.first?.text == nil)
  }

  @Test("programs find the API by Kubernetes' variables, which a manifest may set otherwise")
  func environment() throws {
    var body = assignment(
      spec: podSpec(containers: [
        container("main"),
        [
          "name": "own", "image": "i", "command": ["x"],
          "env": [["name": "KUBERNETES_SERVICE_HOST", "value": "elsewhere"]],
        ],
      ]))
    body.api = APIAddress(host: "fd00::1", port: 7_480, native: 7_421)
    let made = try plan(body)
    for wanted in [
      "KUBERNETES_SERVICE_HOST=fd00::1", "KUBERNETES_SERVICE_PORT=7480", "KUBERNETES_SERVICE_PORT_HTTPS=7480",
      "STINT_SERVICE_PORT=7421",
    ] {
      #expect(made.containers[0].environment.contains(wanted))
    }
    #expect(made.containers[1].environment.contains("KUBERNETES_SERVICE_HOST=elsewhere"))
    body.api = nil
    #expect(try plan(body).containers[0].environment.allSatisfy { !$0.hasPrefix("KUBERNETES_") })
  }
}
