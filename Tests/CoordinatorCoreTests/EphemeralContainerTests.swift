// Containers that are added to pods that are there (pods/ephemeralcontainers): Kubernetes' rules and words, what of a
// pod they change, who may add them, and that the pod's node is told once it is durable, and by each session again.

import ClusterProto
import Testing

@testable import CoordinatorCore

@Suite("ephemeral containers") struct EphemeralContainerTests {
  private static let part = CoordinatorCore.ephemeralContainers

  private static func added(_ name: String, _ more: JSON = [:]) -> JSON {
    var container: JSON = ["name": .string(name), "image": "busybox:1", "command": ["sh"]]
    for (key, value) in more.objectValue ?? JSONObject() { container[key] = value }
    return container
  }

  private static func patch(_ containers: JSON...) -> JSON { ["spec": ["ephemeralContainers": .array(containers)]] }

  private func harness(_ spec: JSON = [:]) throws -> APIHarness {
    let harness = try APIHarness()
    #expect(harness.create(.pods, Manifest.pod("p", spec: spec)).code == 201)
    return harness
  }

  @Test("one is added by any patch or a PUT, with a container's defaults; nothing else of the body counts")
  func added() throws {
    let harness = try harness(["volumes": [["name": "v", "emptyDir": [:]]]])
    let first = harness.patch(
      .pods, "p", .strategic,
      [
        "metadata": ["labels": ["a": "b"]],
        "spec": [
          "activeDeadlineSeconds": 5,
          "ephemeralContainers": [
            Self.added("one", ["targetContainerName": "c", "volumeMounts": [["name": "v", "mountPath": "/v"]]])
          ],
        ],
      ], subresource: Self.part)
    #expect(first.code == 200, "\(first.message)")
    let one = try #require(first.object[path: ["spec", "ephemeralContainers"]]?[0])
    #expect(one["imagePullPolicy"] == "IfNotPresent" && one["terminationMessagePath"] == "/dev/termination-log")
    #expect(one["terminationMessagePolicy"] == "File" && one["resources"] == [:])
    #expect(first.object[path: ["metadata", "labels"]] == nil)
    #expect(first.object[path: ["spec", "activeDeadlineSeconds"]] == nil)
    #expect(first.object[path: ["metadata", "generation"]] == 2)
    let merged = harness.patch(.pods, "p", .merge, Self.patch(one, Self.added("two")), subresource: Self.part)
    #expect(merged.code == 200, "\(merged.message)")
    let pointed = harness.patch(
      .pods, "p", .json,
      [["op": "add", "path": "/spec/ephemeralContainers/-", "value": Self.added("three")]], subresource: Self.part)
    #expect(pointed.code == 200, "\(pointed.message)")
    var body = harness.ask(
      APIRequest(verb: .get, kind: .pods, namespace: "default", name: "p", subresource: Self.part)
    ).object
    body[path: ["spec", "ephemeralContainers"]] = .array(
      (body[path: ["spec", "ephemeralContainers"]]?.arrayValue ?? []) + [Self.added("four")])
    body[path: ["spec", "containers"]] = []
    let put = harness.update(.pods, "p", body, subresource: Self.part)
    #expect(put.code == 200, "\(put.message)")
    let names = (put.object[path: ["spec", "ephemeralContainers"]]?.arrayValue ?? []).compactMap(\.["name"])
    #expect(names == ["one", "two", "three", "four"])
    #expect(put.object[path: ["spec", "containers"]]?.arrayValue?.count == 1)
    // Written back as it was read, by the whole object too, it changes nothing.
    let version = put.resourceVersion
    #expect(harness.update(.pods, "p", put.object, subresource: Self.part).resourceVersion == version)
    #expect(harness.update(.pods, "p", put.object).resourceVersion == version)
    #expect(harness.patch(.pods, "p", .merge, ["metadata": ["labels": ["a": "b"]]]).code == 200)
    try harness.restart()
    #expect(harness.get(.pods, "p").object[path: ["spec", "ephemeralContainers"]]?.arrayValue?.count == 4)
  }

  @Test("server-side apply owns what it adds, by the part's name, and is refused for what is not there")
  func applied() throws {
    let harness = try harness()
    func apply(_ name: String, _ containers: JSON...) -> RequestAnswer {
      harness.patch(
        .pods, name, .apply,
        [
          "apiVersion": "v1", "kind": "Pod", "metadata": ["name": .string(name)],
          "spec": ["ephemeralContainers": .array(containers)],
        ], subresource: Self.part
      ) { $0.fieldManager = "debugger" }
    }
    let first = apply("p", Self.added("one"))
    #expect(first.code == 200, "\(first.message)")
    let entries = first.object[path: ["metadata", "managedFields"]]?.arrayValue ?? []
    #expect(entries.contains { $0["manager"] == "debugger" && $0["subresource"] == .string(Self.part) })
    #expect(apply("p", Self.added("two")).message.contains(#"containers "one" may not be removed"#))
    #expect(apply("p", Self.added("one"), Self.added("two")).code == 200)
    #expect(apply("q", Self.added("one")).code == 404)
  }

  @Test("a stale version is a conflict, a pod that is not there is not found, a dry run adds nothing")
  func preconditions() throws {
    let harness = try harness()
    var stale = Self.patch(Self.added("one"))
    stale[path: ["metadata", "resourceVersion"]] = "1"
    #expect(harness.patch(.pods, "p", .merge, stale, subresource: Self.part).code == 409)
    #expect(harness.patch(.pods, "q", .merge, Self.patch(Self.added("one")), subresource: Self.part).code == 404)
    let dry = harness.patch(.pods, "p", .merge, Self.patch(Self.added("one")), subresource: Self.part) {
      $0.dryRun = true
    }
    #expect(dry.code == 200)
    #expect(harness.get(.pods, "p").object[path: ["spec", "ephemeralContainers"]] == nil)
    let made = APIRequest(
      verb: .create, kind: .pods, namespace: "default", name: "p", subresource: Self.part, body: [:])
    #expect(harness.ask(made).code == 405)
  }

  private static let refused: [(JSON, String)] = [
    (added("c"), #"spec.ephemeralContainers[0].name: Duplicate value: "c""#),
    (
      added("x", ["targetContainerName": "no"]),
      #"spec.ephemeralContainers[0].targetContainerName: Not found: "no""#
    ),
    (added("X"), "spec.ephemeralContainers[0].name: Invalid value: \"X\": a lowercase RFC 1123 label"),
    (added("x", ["image": ""]), "spec.ephemeralContainers[0].image: Required value"),
    (
      added("x", ["ports": [["containerPort": 80]]]),
      "spec.ephemeralContainers[0].ports: Forbidden: cannot be set for an Ephemeral Container"
    ),
    (
      added("x", ["resources": ["limits": ["cpu": "1"]]]),
      "spec.ephemeralContainers[0].resources: Forbidden: cannot be set for an Ephemeral Container"
    ),
    (
      added("x", ["livenessProbe": ["exec": ["command": ["true"]]]]),
      "spec.ephemeralContainers[0].livenessProbe: Forbidden: cannot be set for an Ephemeral Container"
    ),
    (
      added("x", ["lifecycle": ["preStop": ["exec": ["command": ["true"]]]]]),
      "spec.ephemeralContainers[0].lifecycle: Forbidden: cannot be set for an Ephemeral Container"
    ),
    (
      added("x", ["restartPolicy": "Always"]),
      "spec.ephemeralContainers[0].restartPolicy: Forbidden: cannot be set for an Ephemeral Container"
    ),
    (
      added("x", ["volumeMounts": [["name": "v", "mountPath": "/v", "subPath": "s"]]]),
      "spec.ephemeralContainers[0].volumeMounts[0].subPath: Forbidden: cannot be set for an Ephemeral Container"
    ),
    (
      added("x", ["volumeMounts": [["name": "w", "mountPath": "/v"]]]),
      #"spec.ephemeralContainers[0].volumeMounts[0].name: Not found: "w""#
    ),
    (
      added("x", ["image": "host", "securityContext": ["runAsUser": 5]]),
      "spec.ephemeralContainers[0].securityContext.runAsUser: Forbidden: not supported by this version for `image: host"
    ),
  ]

  @Test("what such a container may not be is refused in Kubernetes' words", arguments: Self.refused)
  func rules(container: JSON, message: String) throws {
    let harness = try harness(["volumes": [["name": "v", "emptyDir": [:]]]])
    let answer = harness.patch(.pods, "p", .strategic, Self.patch(container), subresource: Self.part)
    #expect(answer.code == 422)
    #expect(answer.message.contains(message), "\(answer.message)")
    #expect(harness.get(.pods, "p").object[path: ["spec", "ephemeralContainers"]] == nil)
  }

  @Test("two of one name, and more than a pod can have at once, are refused") func many() throws {
    let harness = try harness()
    let twins = harness.patch(
      .pods, "p", .merge, Self.patch(Self.added("x"), Self.added("x")), subresource: Self.part)
    #expect(twins.message.contains(#"spec.ephemeralContainers[1].name: Duplicate value: "x""#), "\(twins.message)")
    let crowd = (0..<128).map { Self.added("x\($0)") }
    let answer = harness.patch(
      .pods, "p", .merge, ["spec": ["ephemeralContainers": .array(crowd)]], subresource: Self.part)
    #expect(
      answer.message.contains("spec.ephemeralContainers: Too many: 128: must have at most 127 items"),
      "\(answer.message)")
  }

  @Test("those that are there are neither changed nor removed") func kept() throws {
    let harness = try harness()
    harness.patch(.pods, "p", .merge, Self.patch(Self.added("one")), subresource: Self.part)
    let removed = harness.patch(.pods, "p", .merge, Self.patch(Self.added("two")), subresource: Self.part)
    #expect(
      removed.message
        == "Pod \"p\" is invalid: spec.ephemeralContainers: Forbidden: existing ephemeral containers \"one\" may not "
        + "be removed\n", "\(removed.message)")
    let changed = harness.patch(
      .pods, "p", .strategic, Self.patch(["name": "one", "image": "other:1"]), subresource: Self.part)
    #expect(changed.message.contains(#"existing ephemeral containers "one" may not be changed"#), "\(changed.message)")
    let all = harness.patch(.pods, "p", .merge, ["spec": ["ephemeralContainers": .null]], subresource: Self.part)
    #expect(all.code == 422)
  }

  @Test("no other write brings or takes one: not a create, not an update, not a template") func elsewhere() throws {
    let harness = try harness()
    let list: JSON = ["ephemeralContainers": [Self.added("x")]]
    let made = harness.create(.pods, Manifest.pod("q", spec: list))
    #expect(
      made.message == "Pod \"q\" is invalid: spec.ephemeralContainers: Forbidden: cannot be set on create",
      "\(made.message)")
    let written = harness.patch(.pods, "p", .merge, ["spec": list])
    #expect(written.message.contains("pod updates may not change fields other than"), "\(written.message)")
    let job = harness.create(.jobs, Manifest.job("j", pod: list))
    #expect(
      job.message.contains(
        "spec.template.spec.ephemeralContainers: Forbidden: ephemeral containers not allowed in pod template"),
      "\(job.message)")
    harness.patch(.pods, "p", .merge, Self.patch(Self.added("x")), subresource: Self.part)
    let lost = harness.patch(.pods, "p", .merge, ["spec": ["ephemeralContainers": .null]])
    #expect(lost.message.contains("pod updates may not change fields other than"), "\(lost.message)")
  }

  @Test("Pod Security holds of them as of the others: refused where it is enforced, warned of where that is asked for")
  func podSecurity() throws {
    let harness = try harness()
    func label(_ mode: String) {
      var labels: JSON = [
        "pod-security.kubernetes.io/enforce": .null, "pod-security.kubernetes.io/warn": .null,
      ]
      labels["pod-security.kubernetes.io/\(mode)"] = "baseline"
      harness.patch(.namespaces, "default", .merge, ["metadata": ["labels": labels]])
    }
    let tracer = Self.added("x", ["securityContext": ["capabilities": ["add": ["SYS_PTRACE"]]]])
    let why = #"non-default capabilities (container "x" must not include "SYS_PTRACE" in "#
    label("enforce")
    let refused = harness.patch(.pods, "p", .merge, Self.patch(tracer), subresource: Self.part)
    #expect(refused.code == 403)
    #expect(
      refused.message.hasPrefix(#"pods "p" is forbidden: violates PodSecurity "baseline:latest": \#(why)"#),
      "\(refused.message)")
    label("warn")
    let warned = harness.patch(.pods, "p", .merge, Self.patch(tracer), subresource: Self.part)
    #expect(warned.code == 200)
    #expect(warned.warnings.contains { $0.hasPrefix(#"would violate PodSecurity "baseline:latest": \#(why)"#) })
  }

  @Test("of the built-in roles cluster-admin alone may, and a role that says so") func rights() throws {
    let access = try AccessHarness()
    for role in ["view", "edit", "admin"] { access.bind(role, to: role, in: "default") }
    for who in ["view", "edit", "admin"] {
      for verb in ["get", "patch", "update"] {
        #expect(!access.may(AccessHarness.user(who), verb, "pods/\(Self.part)", in: "default"), "\(who) \(verb)")
      }
    }
    let role: JSON = [
      "metadata": ["name": "debug", "labels": ["rbac.authorization.k8s.io/aggregate-to-edit": "true"]],
      "rules": [["verbs": ["patch"], "apiGroups": [""], "resources": ["pods/ephemeralcontainers"]]],
    ]
    #expect(access.api.create(.clusterroles, role, namespace: "").code == 201)
    #expect(access.may(AccessHarness.user("edit"), "patch", "pods/\(Self.part)", in: "default"))
  }

  // MARK: The node

  private func add(_ harness: inout FleetHarness, _ name: String, _ number: RequestID = 900) {
    var options = APIOptions()
    options.patchKind = .strategic
    harness.step([
      .request(
        number,
        APIRequest(
          verb: .patch, kind: .pods, namespace: "default", name: "p", subresource: Self.part, options: options,
          body: Self.patch(Self.added(name))))
    ])
  }

  @Test("the pod's node is told, after the commit, and the body has it then; the next session is told without asking")
  func told() throws {
    var harness = try FleetHarness.joined(["a"])
    harness.addPod("p")
    let attempt = try #require(harness.attempt(of: "p"))
    let before = harness.agents["a"]?.answers.count ?? 0
    #expect(harness.agents["a"]?.answers.flatMap(\.grown) == [])
    add(&harness, "x")
    let news = try #require(harness.agents["a"]?.answers.dropFirst(before).first)
    #expect(news.grown == [attempt] && news.changes == [])
    let isOrdered = harness.effects.contains { effect in
      if case .send(_, .answer(news), immediate: false) = effect { true } else { false }
    }
    #expect(isOrdered)
    let session = try #require(harness.agents["a"]?.session)
    harness.step([.agent(session, .fetch([attempt]))])
    #expect(harness.agents["a"]?.bodies[attempt]?.spec.ephemeralContainers.map(\.name) == ["x"])
    harness.reconnect("a", session: "again")
    #expect(harness.agents["a"]?.answers.flatMap(\.grown) == [attempt])
    try harness.restart()
    harness.agents["a"]?.highestIncarnation = harness.core.incarnation
    harness.reconnect("a", session: "after")
    #expect(harness.agents["a"]?.answers.flatMap(\.grown) == [attempt])
    #expect(harness.problems() == [])
  }

  @Test("a pod that has no node yet gets it with its body, a pod that is being ended is told of to nobody")
  func others() throws {
    var harness = try FleetHarness()
    harness.addPod("p")
    add(&harness, "x")
    harness.join(FakeAgent("a"))
    let attempt = try #require(harness.attempt(of: "p"))
    #expect(harness.agents["a"]?.bodies[attempt]?.spec.ephemeralContainers.map(\.name) == ["x"])
    harness.step([
      .request(901, APIRequest(verb: .delete, kind: .pods, namespace: "default", name: "p"))
    ])
    let before = harness.agents["a"]?.answers.count ?? 0
    add(&harness, "y", 902)
    #expect(harness.agents["a"]?.answers.dropFirst(before).flatMap(\.grown) == [])
  }

  @Test("its status is the node's word, bounded; its start is an Event of its own, and counts for nothing of the pod")
  func reported() throws {
    var harness = try FleetHarness.joined(["a"])
    harness.addPod("p")
    let attempt = try #require(harness.attempt(of: "p"))
    add(&harness, "x")
    let session = try #require(harness.agents["a"]?.session)
    func report(_ revision: Int64, _ state: ContainerState, _ name: String = "x") {
      var status = PodStatus()
      status.phase = .running
      status.containers = [ContainerStatus(name: "c", image: "none", state: .running(startedAt: harness.now.wall))]
      status.ephemeralContainers = [ContainerStatus(name: name, image: "busybox:1", state: state)]
      harness.step([
        .agent(session, .reports([AttemptReport(attempt: attempt, revision: revision, status: status)]))
      ])
    }
    report(1, .waiting(reason: "ErrImagePull", message: "no route"))
    #expect(harness.pod("p")?.status.ephemeralContainers.map(\.name) == ["x"])
    #expect(harness.events("Failed").contains("Error: ErrImagePull"))
    #expect(harness.events("Started") == [])
    report(2, .running(startedAt: harness.now.wall))
    #expect(harness.events("Created") == ["Container created"] && harness.events("Started") == ["Container started"])
    report(
      3, .terminated(.init(exitCode: 1, reason: "Error", startedAt: harness.now.wall, finishedAt: harness.now.wall)))
    #expect(harness.events("Started").count == 1)
    #expect(harness.pod("p")?.status.phase == .running)
    report(4, .running(startedAt: harness.now.wall), "not-of-the-pod")
    #expect(harness.pod("p")?.status.ephemeralContainers == [])
  }

  @Test("whoever adds one has entered the pod: that is audited, without what it runs") func audited() throws {
    var harness = try FleetHarness.joined(["a"])
    harness.addPod("p")
    add(&harness, "x")
    let lines = harness.effects.compactMap { if case .audit(let entry) = $0 { entry } else { nil } }
    #expect(lines.map(\.deed) == [.enter])
    #expect(lines.first?.what.hasPrefix("patch pods/ephemeralcontainers default/p") == true)
  }
}
