// What tokens of service accounts say, and when they stop to hold: at the moment in which what they rest on has gone.

import ClusterProto
import Testing

@testable import CoordinatorCore

@Suite("Tokens of service accounts")
struct TokenTests {
  private let harness: APIHarness

  init() throws {
    harness = try APIHarness()
    harness.create(.serviceaccounts, Self.account("robot"))
  }

  private static func account(_ name: String) -> JSON {
    ["apiVersion": "v1", "kind": "ServiceAccount", "metadata": ["name": .string(name)]]
  }

  private static func body(_ spec: JSON) -> JSON {
    ["apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": spec]
  }

  /// The claims that the shell is to sign, and the answer that goes with them.
  private func token(_ spec: JSON = [:], name: String = "robot") throws -> (claims: JSON, answer: JSON) {
    let effects = harness.step([.request(9_001, request(spec, name))])
    for case .signToken(9_001, let claims, let answer, _) in effects { return (claims, answer) }
    throw Missing(text: "\(effects)")
  }

  private struct Missing: Error { var text: String }

  private func request(_ spec: JSON, _ name: String = "robot") -> APIRequest {
    APIRequest(
      verb: .create, kind: .serviceaccounts, namespace: "default", name: name, subresource: "token",
      body: Self.body(spec))
  }

  private func verdict(_ claims: JSON, audiences: [String] = [TokenClaims.issuer], after seconds: Int64 = 0) -> String {
    let wall = harness.now.wall.adding(milliseconds: seconds * 1_000)
    switch harness.core.verdict(on: claims, audiences: audiences, wall: wall) {
    case .valid(let claims, let audiences): return "\(claims.userName) for \(audiences.joined(separator: ","))"
    case .invalid(let why, _): return why
    }
  }

  private let holds = "system:serviceaccount:default:robot for \(TokenClaims.issuer)"
  private let invalidated = "service account token has been invalidated"

  @Test("a token has Kubernetes' claims, its answer the time of its end, and no copy of it is stored")
  func claims() throws {
    let (claims, answer) = try token()
    let start = harness.now.wall.seconds
    let uid = try #require(harness.get(.serviceaccounts, "robot").object[path: ["metadata", "uid"]])
    #expect(claims["iss"] == .string(TokenClaims.issuer))
    #expect(claims["aud"] == [.string(TokenClaims.issuer)])
    #expect(claims["sub"] == "system:serviceaccount:default:robot")
    #expect(claims["iat"] == .int(start) && claims["nbf"] == .int(start) && claims["exp"] == .int(start + 3_600))
    #expect(claims["kubernetes.io"] == ["namespace": "default", "serviceaccount": ["name": "robot", "uid": uid]])
    #expect(claims["jti"] != (try token().claims)["jti"])
    #expect(answer[path: ["status", "expirationTimestamp"]] == "2026-11-23T11:00:00Z")
    #expect(answer[path: ["spec", "expirationSeconds"]] == 3_600)
    #expect(harness.effects.allSatisfy { if case .persist = $0 { false } else { true } })
    #expect(verdict(claims) == holds)
  }

  @Test("a token ends at its second, and is not valid before its own time but for a minute of clocks")
  func times() throws {
    let claims = try token(["expirationSeconds": 600]).claims
    #expect(verdict(claims, after: 599) == holds)
    #expect(verdict(claims, after: 600) == "service account token has expired")
    #expect(verdict(claims, after: -60) == holds)
    #expect(verdict(claims, after: -61) == "service account token is not valid yet")
    var later = claims
    later["nbf"] = .int(harness.now.wall.seconds + 61)
    #expect(verdict(later) == "service account token is not valid yet")
    for member in ["exp", "nbf", "iat", "iss", "sub", "aud", "kubernetes.io"] {
      var less = claims
      less[member] = nil
      #expect(verdict(less) == invalidated, "\(member)")
    }
    var extreme = claims
    extreme["exp"] = .int(.max)
    extreme["nbf"] = .int(.min)
    #expect(verdict(extreme) == holds)
  }

  @Test("a token for another audience is nobody's at the API")
  func audiences() throws {
    let claims = try token(["audiences": ["vault", "mail"]]).claims
    #expect(
      verdict(claims)
        == "token audiences [\"vault\" \"mail\"] is invalid for the target audiences [\"\(TokenClaims.issuer)\"]")
    #expect(verdict(claims, audiences: ["mail", "x"]) == "system:serviceaccount:default:robot for mail")
  }

  @Test("an account that was deleted and made again has none of its tokens back")
  func recreated() throws {
    let claims = try token().claims
    harness.delete(.serviceaccounts, "robot")
    #expect(verdict(claims) == "serviceaccounts \"robot\" not found")
    harness.create(.serviceaccounts, Self.account("robot"))
    #expect(verdict(claims).hasPrefix("service account UID ("))
    #expect(verdict(try token().claims) == holds)
  }

  @Test("claims that contradict themselves hold for nobody")
  func contradictions() throws {
    let claims = try token().claims
    for (path, value) in [
      (["sub"], "system:serviceaccount:kube-system:robot"), (["sub"], "system:serviceaccount:default:default"),
      (["iss"], "https://elsewhere"), (["kubernetes.io", "namespace"], "kube-system"),
      (["kubernetes.io", "namespace"], ""), (["kubernetes.io", "serviceaccount", "name"], "default"),
      (["kubernetes.io", "serviceaccount", "uid"], ""), (["kubernetes.io", "pod"], "p"),
      (["kubernetes.io", "pod"], ["name": "p"]), (["kubernetes.io", "secret"], .null),
    ] as [([String], JSON)] {
      var bent = claims
      bent[path: path] = value
      #expect(verdict(bent) == invalidated, "\(path) \(value)")
    }
  }

  @Test("a bound token dies with its pod or Secret, and a later one of that name does not bring it back")
  func bound() throws {
    let pod = Manifest.pod("p", spec: ["serviceAccountName": "robot"])
    #expect(harness.create(.pods, pod).code == 201)
    let secret: JSON = ["apiVersion": "v1", "kind": "Secret", "metadata": ["name": "s"]]
    harness.create(.secrets, secret)
    for (kind, name, object) in [(Kind.pods, "p", pod), (.secrets, "s", secret)] {
      let reference: JSON = ["kind": .string(kind.name), "apiVersion": "v1", "name": .string(name)]
      let claims = try token(["boundObjectRef": reference]).claims
      #expect(claims[path: ["kubernetes.io", kind.name.lowercased(), "name"]] == .string(name))
      #expect(verdict(claims) == holds)
      harness.delete(kind, name) { $0.gracePeriodSeconds = 0 }
      #expect(harness.get(kind, name).code == 404)
      #expect(verdict(claims) == invalidated)
      harness.create(kind, object)
      #expect(verdict(claims) == invalidated)
    }
  }

  @Test("what a token cannot be bound to is refused in Kubernetes' words")
  func bindings() throws {
    harness.create(.pods, Manifest.pod("other"))
    func refusal(_ reference: JSON) -> RequestAnswer { harness.ask(request(["boundObjectRef": reference])) }
    let missing = refusal(["kind": "Pod", "apiVersion": "v1", "name": "none"])
    #expect(missing.code == 404 && missing.message == "pods \"none\" not found")
    let other = refusal(["kind": "Pod", "apiVersion": "v1", "name": "other"])
    #expect(
      other.message
        == "cannot bind token for serviceaccount \"robot\" to pod running with different serviceaccount name.")
    #expect(other.code == 400)
    harness.create(.pods, Manifest.pod("own", spec: ["serviceAccountName": "robot"]))
    let uid = refusal(["kind": "Pod", "apiVersion": "v1", "name": "own", "uid": "1-2-3"])
    #expect(uid.code == 409 && uid.message.contains("the UID in the bound object reference (1-2-3) does not match"))
    let job = refusal(["kind": "Job", "apiVersion": "batch/v1", "name": "own"])
    #expect(job.code == 400 && job.message == "cannot bind token to object of type batch/v1, Kind=Job")
  }

  @Test("how long a token may live, and for whom it is, are bounded")
  func bounds() throws {
    let short = harness.ask(request(["expirationSeconds": 599]))
    #expect(short.code == 422)
    #expect(
      short.message
        == "TokenRequest.authentication.k8s.io \"\" is invalid: spec.expirationSeconds: Invalid value: 599: may not "
        + "specify a duration less than 10 minutes")
    for seconds in [Int64.min, -1, 0, 1 << 32 + 1, .max] {
      #expect(harness.ask(request(["expirationSeconds": .int(seconds)])).code == 422, "\(seconds)")
    }
    let many: JSON = .array((0..<17).map { .string("a\($0)") })
    #expect(harness.ask(request(["audiences": many])).code == 422)
    #expect(harness.ask(request(["audiences": [.string(String(repeating: "a", count: 257))]])).code == 422)
    #expect(harness.ask(request([:], "nobody")).message == "serviceaccounts \"nobody\" not found")
    var named = request([:])
    named.body?[path: ["metadata", "name"]] = "default"
    #expect(harness.ask(named).message.contains("must match the service account name if specified"))
  }

  @Test("a token is not made for who may not, nor for the asker's own account")
  func permission() throws {
    for subject in [
      Subject(name: "eve", groups: [Subject.authenticated], door: .https),
      Subject(
        try #require(TokenClaims(json: try token().claims)), door: .https),
    ] {
      var asked = request([:])
      asked.subject = subject
      let effects = harness.core.step([.request(9_002, asked)], at: harness.now)
      #expect(effects.allSatisfy { if case .signToken = $0 { false } else { true } })
      #expect(harness.core.authorize(subject, AccessAttributes(asked)) == .denied(reason: ""))
      let review = AccessAttributes(verb: "create", group: "authentication.k8s.io", resource: "tokenreviews")
      #expect(harness.core.authorize(subject, review) == .denied(reason: ""))
      let own = AccessAttributes(verb: "create", group: "authentication.k8s.io", resource: "selfsubjectreviews")
      #expect(harness.core.authorize(subject, own) == .allowed)
    }
  }
}

@Suite("Accounts of pods")
struct PodAccountTests {
  private static let problem =
    "error looking up service account default/robot: serviceaccount \"robot\" not found"

  @Test("a pod whose account is not there is refused in Kubernetes' words, and taken when it is")
  func pods() throws {
    let harness = try APIHarness()
    let pod = Manifest.pod("p", spec: ["serviceAccountName": "robot"])
    let refused = harness.create(.pods, pod)
    #expect(refused.code == 403)
    #expect(refused.message == "pods \"p\" is forbidden: \(Self.problem)")
    harness.create(.serviceaccounts, ["metadata": ["name": "robot"]])
    #expect(harness.create(.pods, pod).code == 201)
    // The usual one is made again by itself: no pod waits for it.
    harness.delete(.serviceaccounts, "default")
    #expect(harness.create(.pods, Manifest.pod("q")).code == 201)
  }

  @Test("a Job whose pods' account is not there says FailedCreate, again after pauses, and goes on when it comes")
  func jobs() throws {
    let harness = try APIHarness()
    harness.create(.jobs, Manifest.job("j", pod: ["serviceAccountName": "robot"]))
    func events() -> [JSON] {
      harness.list(.events).items.filter { $0["reason"] == "FailedCreate" }
    }
    #expect(harness.list(.pods).items.isEmpty)
    let event = try #require(events().first)
    #expect(event["message"] == .string("Error creating: pods \"j-\" is forbidden: \(Self.problem)"))
    #expect(event["type"] == "Warning" && event["count"] == 1)
    for (pause, count) in [(999, 1), (1, 2), (1_999, 2), (1, 3), (4_000, 4), (60_000, 8)] as [(Int64, Int64)] {
      harness.wait(milliseconds: pause)
      if pause > 4_000 {
        #expect(events().first?["count"]?.intValue ?? 0 > 4)
      } else {
        #expect(events().first?["count"] == .int(count), "after \(pause) ms more")
      }
    }
    harness.create(.serviceaccounts, ["metadata": ["name": "robot"]])
    harness.step([.timer])
    #expect(harness.list(.pods).items.count == 1)
  }

  @Test("nothing is kept of refused Jobs that are gone")
  func forgotten() throws {
    let harness = try APIHarness()
    harness.create(.jobs, Manifest.job("j", pod: ["serviceAccountName": "robot"]))
    harness.delete(.jobs, "j")
    #expect(harness.core.workloads.refused.values.filter { !$0.isEmpty }.isEmpty)
  }
}
