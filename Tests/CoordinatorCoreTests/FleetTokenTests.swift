// The tokens that agents are given for their pods' volumes: of their own attempts alone, bound to each.

import ClusterProto
import Testing

@testable import CoordinatorCore

@Suite("Tokens of pods at the coordinator")
struct FleetTokenTests {
  private static let volume: JSON = [
    "name": "v",
    "projected": [
      "sources": [
        ["serviceAccountToken": ["path": "api", "expirationSeconds": 700]],
        ["serviceAccountToken": ["path": "vault", "audience": "vault", "expirationSeconds": 600]],
      ]
    ],
  ]

  private func cluster() throws -> FleetHarness {
    var harness = try FleetHarness()
    for name in ["a", "b"] { harness.join(FakeAgent(name)) }
    harness.addPod("p", extra: [("volumes", [Self.volume])])
    return harness
  }

  private func claims(_ token: PodToken) throws -> TokenClaims {
    guard case .claims(let json) = token.content else { throw Missing() }
    return try #require(TokenClaims(json: json))
  }

  private struct Missing: Error {}

  private func tokens(_ agent: FakeAgent?) -> [AttemptTokens] {
    (agent?.received ?? []).flatMap { message -> [AttemptTokens] in
      if case .tokens(let tokens) = message { tokens } else { [] }
    }
  }

  @Test("an assignment brings the tokens of its volumes, bound to its pod and node")
  func assigned() throws {
    let harness = try cluster()
    let body = try #require(harness.agents["a"]?.bodies[1] ?? harness.agents["b"]?.bodies[1])
    #expect(body.tokens.map(\.path) == ["api", "vault"])
    #expect(body.tokens.map(\.seconds) == [700, 600])
    #expect(body.tokens.map(\.volume) == ["v", "v"])
    let own = try claims(body.tokens[0])
    #expect(own.userName == "system:serviceaccount:default:default")
    #expect(own.pod == TokenObject(name: "p", uid: body.podUID))
    #expect(own.node?.name == harness.agents.values.first { $0.bodies[1] != nil }?.name)
    #expect(own.audiences == [TokenClaims.issuer])
    #expect(own.expires - own.issuedAt == 700)
    #expect(try claims(body.tokens[1]).audiences == ["vault"])
  }

  @Test("an agent gets fresh tokens of its own attempt, and none of another node's, a stopped or an unknown one")
  func foreign() throws {
    var harness = try cluster()
    let owner = try #require(harness.agents.values.first { $0.bodies[1] != nil }?.name)
    let other = owner == "a" ? "b" : "a"
    for name in [owner, other] {
      harness.step([.agent("session-\(name)", .tokens([1, 77, -1, .max, .min, 1]))])
    }
    let given = tokens(harness.agents[owner])
    #expect(given.first { $0.attempt == 1 }?.tokens.count == 2)
    #expect(given.filter { $0.attempt != 1 }.allSatisfy { $0.tokens.isEmpty })
    #expect(given.count == 5)
    #expect(tokens(harness.agents[other]).allSatisfy { $0.tokens.isEmpty })
    #expect(tokens(harness.agents[other]).count == 5)
    let uid = try #require(harness.pod("p")?.meta.uid)
    harness.core.stopAttempt(podUID: uid, graceMilliseconds: 1_000)
    harness.agents[owner]?.received = []
    harness.step([.agent("session-\(owner)", .tokens([1]))])
    #expect(tokens(harness.agents[owner]).allSatisfy { $0.tokens.isEmpty })
  }

  @Test("a pod whose account is gone gets no more tokens")
  func accountGone() throws {
    var harness = try cluster()
    let owner = try #require(harness.agents.values.first { $0.bodies[1] != nil }?.name)
    harness.core.erase(
      ObjectReference(kind: .serviceaccounts, key: ObjectKey(namespace: "default", name: "default")))
    let pod = try #require(harness.pod("p"))
    #expect(harness.core.tokens(of: pod).isEmpty)
    harness.step([])
    // Made again, under another uid: the old tokens do not hold, fresh ones do.
    harness.step([.agent("session-\(owner)", .tokens([1]))])
    let fresh = try #require(tokens(harness.agents[owner]).last?.tokens.first)
    guard case .claims(let json) = fresh.content else { throw Missing() }
    guard case .valid = harness.core.verdict(on: json, audiences: [TokenClaims.issuer], wall: harness.now.wall) else {
      throw Missing()
    }
  }

  @Test("a flood of wants is one answer for each attempt")
  func flood() throws {
    var harness = try cluster()
    let owner = try #require(harness.agents.values.first { $0.bodies[1] != nil }?.name)
    let wants = [AttemptNumber](repeating: 1, count: 5_000)
    harness.step([CoordinatorEvent](repeating: .agent("session-\(owner)", .tokens(wants)), count: 20))
    #expect(tokens(harness.agents[owner]).count == 1)
  }
}

@Suite("The usual mount of a pod's token")
struct TokenMountTests {
  private func harness() throws -> APIHarness {
    let harness = try APIHarness()
    harness.step([.apiServed(APIEndpoint(host: "10.0.0.1", port: 7_480, authority: "PEM"))])
    return harness
  }

  private static func hasMount(_ pod: JSON) -> Bool {
    pod[path: ["spec", "volumes"]]?.arrayValue?.contains { $0["name"] == .string(PodToken.usualVolume) } ?? false
  }

  @Test("every container gets it, but those that have something at its place")
  func mounts() throws {
    let harness = try harness()
    let own: JSON = ["name": "v", "mountPath": .string(PodToken.usualPath)]
    let spec: JSON = [
      "volumes": [["name": "v", "emptyDir": [:]]],
      "initContainers": [["name": "i", "image": "x", "command": ["true"]]],
      "containers": [
        ["name": "c", "image": "x", "command": ["true"]],
        ["name": "d", "image": "x", "command": ["true"], "volumeMounts": [own]],
      ],
    ]
    let pod = harness.create(.pods, Manifest.pod("p", spec: spec)).object
    #expect(Self.hasMount(pod))
    let usual: JSON = [
      ["name": .string(PodToken.usualVolume), "readOnly": true, "mountPath": .string(PodToken.usualPath)]
    ]
    #expect(pod[path: ["spec", "initContainers"]]?[0]?["volumeMounts"] == usual)
    #expect(pod[path: ["spec", "containers"]]?[0]?["volumeMounts"] == usual)
    #expect(pod[path: ["spec", "containers"]]?[1]?["volumeMounts"]?.arrayValue?.count == 1)
    let sources = pod[path: ["spec", "volumes"]]?[1]?["projected"]?["sources"]
    #expect(sources?[0] == ["serviceAccountToken": ["expirationSeconds": 3_607, "path": "token"]])
  }

  @Test("pod goes before account, and an account that says no is heard")
  func opting() throws {
    let harness = try harness()
    harness.create(
      .serviceaccounts, ["metadata": ["name": "quiet"], "automountServiceAccountToken": false])
    func created(_ name: String, _ spec: JSON) -> Bool {
      Self.hasMount(harness.create(.pods, Manifest.pod(name, spec: spec)).object)
    }
    #expect(created("a", [:]))
    #expect(!created("b", ["automountServiceAccountToken": false]))
    #expect(!created("c", ["serviceAccountName": "quiet"]))
    #expect(created("d", ["serviceAccountName": "quiet", "automountServiceAccountToken": true]))
    let container: JSON = [
      "name": "c", "image": "x", "command": ["true"],
      "volumeMounts": [["name": "v", "mountPath": .string(PodToken.usualPath)]],
    ]
    #expect(!created("e", ["volumes": [["name": "v", "emptyDir": [:]]], "containers": [container]]))
  }

  @Test("a Job's pods share one spec with it, and follow what the account says from the next pod on")
  func jobs() throws {
    let harness = try harness()
    harness.create(.jobs, Manifest.job("j", spec: ["parallelism": 2, "completions": 2]))
    let pods = harness.list(.pods).items
    #expect(pods.count == 2 && pods.allSatisfy(Self.hasMount))
    #expect(harness.core.state.specs.count == 1)
    // The template is the user's own.
    #expect(harness.get(.jobs, "j").object[path: ["spec", "template", "spec", "volumes"]] == nil)
    harness.patch(.serviceaccounts, "default", .merge, ["automountServiceAccountToken": false])
    for pod in pods {
      harness.delete(.pods, pod[path: ["metadata", "name"]]?.stringValue ?? "") { $0.gracePeriodSeconds = 0 }
    }
    harness.step([.timer])
    let later = harness.list(.pods).items
    #expect(later.count == 2 && !later.contains(where: Self.hasMount))
  }

  @Test("an account's imagePullSecrets are those of pods that name none: a client's and a Job's, as admission has it")
  func pullSecrets() throws {
    let harness = try harness()
    let path = ["spec", "imagePullSecrets"]
    harness.patch(
      .serviceaccounts, "default", .merge, ["imagePullSecrets": [["name": "registry"], ["name": "mirror"]]])
    let given: JSON = [["name": "registry"], ["name": "mirror"]]
    let manifest = Manifest.pod("p")
    #expect(harness.create(.pods, manifest).object[path: path] == given)
    // As it was written, it goes in again; and what the account says later changes no pod.
    harness.patch(.serviceaccounts, "default", .merge, ["imagePullSecrets": [["name": "other"]]])
    let replaced = harness.update(.pods, "p", manifest)
    #expect(replaced.code == 200 && replaced.object[path: path] == given, "\(replaced.message)")
    let own: JSON = [["name": "own"]]
    #expect(harness.create(.pods, Manifest.pod("q", spec: ["imagePullSecrets": own])).object[path: path] == own)
    let quiet: JSON = ["serviceAccountName": "quiet"]
    harness.create(.serviceaccounts, ["metadata": ["name": "quiet"]])
    #expect(harness.create(.pods, Manifest.pod("r", spec: quiet)).object[path: path] == nil)

    harness.create(.jobs, Manifest.job("j", spec: ["parallelism": 1, "completions": 1]))
    func ofJob() -> [JSON] {
      harness.list(.pods).items.filter { $0[path: ["metadata", "labels", "job-name"]] == "j" }
    }
    #expect(ofJob().map { $0[path: path] } == [[["name": "other"]]])
    #expect(harness.get(.jobs, "j").object[path: ["spec", "template", "spec", "imagePullSecrets"]] == nil)
    // The next pod follows the account.
    harness.patch(.serviceaccounts, "default", .merge, ["imagePullSecrets": [["name": "third"]]])
    for pod in ofJob() {
      harness.delete(.pods, pod[path: ["metadata", "name"]]?.stringValue ?? "") { $0.gracePeriodSeconds = 0 }
    }
    harness.step([.timer])
    #expect(ofJob().map { $0[path: path] } == [[["name": "third"]]])
  }

  @Test("a pod's manifest can be applied and replaced as it was written")
  func again() throws {
    let harness = try harness()
    let manifest = Manifest.pod("p")
    harness.create(.pods, manifest)
    let replaced = harness.update(.pods, "p", manifest)
    #expect(replaced.code == 200, "\(replaced.message)")
    #expect(Self.hasMount(replaced.object))
  }

  @Test("where no API is served there is nothing to mount")
  func unserved() throws {
    let harness = try APIHarness()
    #expect(!Self.hasMount(harness.create(.pods, Manifest.pod("p")).object))
  }

  @Test("token sources of a volume are validated as Kubernetes does")
  func validation() throws {
    let harness = try APIHarness()
    func create(_ sources: JSON...) -> RequestAnswer {
      let volume: JSON = ["name": "v", "projected": ["sources": .array(sources)]]
      return harness.create(.pods, Manifest.pod("p", spec: ["volumes": [volume]])) { $0.dryRun = true }
    }
    let good = create(["serviceAccountToken": ["path": "t"]])
    #expect(good.code == 201)
    #expect(
      good.object[path: ["spec", "volumes"]]?[0]?["projected"]?["sources"]?[0]?["serviceAccountToken"]
        == ["path": "t", "expirationSeconds": 3_600])
    #expect(create(["serviceAccountToken": ["path": "t", "expirationSeconds": 599]]).message.contains("10 minutes"))
    #expect(create(["serviceAccountToken": ["path": "../t"]]).code == 422)
    #expect(create(["serviceAccountToken": ["path": "/t"]]).code == 422)
    #expect(create(["serviceAccountToken": ["audience": "a"]]).code == 422)
    let twice = create(["serviceAccountToken": ["path": "t"]], ["serviceAccountToken": ["path": "t"]])
    #expect(twice.message.contains("conflicting duplicate paths"))
  }
}
