// Command lines, environments and mounts of a plan, and kubelet's errors.

import AgentCore
import ClusterProto
import Testing

@Suite struct PodPlannerTests {
  private func planned(
    _ container: JSON, references: JSONObject = JSONObject(), spec extra: JSON = [:], place: PodPlace = place
  ) throws -> PodPlan {
    var named = container
    named["name"] = "main"
    if named["command"] == nil { named["command"] = ["/bin/work"] }
    var spec = extra
    spec["restartPolicy"] = "Never"
    spec["containers"] = [named]
    var body = assignment(7, spec: PodSpec(json: spec), annotations: ["note": "n"], references: references)
    body.labels = ["app": "x", "a.b/c": "y"]
    return try PodPlanner.plan(body, place: place)
  }

  @Test("a container with a terminal is told its type, unless the manifest says one; others are told none")
  func terminals() throws {
    let with = try #require(try planned(["stdin": true, "tty": true]).containers.first)
    #expect(with.input.isOpen && !with.input.isOnce && with.input.isTerminal)
    #expect(with.environment.contains("TERM=xterm"))
    let own: JSON = ["tty": true, "env": [["name": "TERM", "value": "vt100"]]]
    #expect(try planned(own).containers.first?.environment.filter { $0.hasPrefix("TERM=") } == ["TERM=vt100"])
    let without = try #require(try planned(["stdin": true, "stdinOnce": true]).containers.first)
    #expect(without.input.endsWithFirst && !without.environment.contains { $0.hasPrefix("TERM=") })
  }

  private func environment(
    _ env: JSON, from: JSON = [], references: JSONObject = JSONObject(), resources: JSON = [:]
  ) throws -> [String] {
    try #require(
      try planned(["env": env, "envFrom": from, "resources": resources], references: references).containers.first
    ).environment
  }

  private func message(_ env: JSON, from: JSON = [], references: JSONObject = JSONObject()) -> String? {
    do {
      _ = try environment(env, from: from, references: references)
      return nil
    } catch let error as PlanningError {
      return error.reason == "CreateContainerConfigError" && error.container == "main" ? error.message : nil
    } catch {
      return nil
    }
  }

  @Test(
    "a program of the host is not run where its security context would not hold, the pod's or its own",
    arguments: [
      ["runAsUser": 0], ["runAsNonRoot": true], ["seccompProfile": ["type": "RuntimeDefault"]],
    ] as [JSON])
  func confined(context: JSON) {
    for (container, spec) in [(["securityContext": context], [:]), ([:], ["securityContext": context])]
      as [(JSON, JSON)]
    {
      let error = #expect(throws: PlanningError.self) { try planned(container, spec: spec) }
      #expect(error?.reason == "CreateContainerConfigError" && error?.container == "main")
      #expect(
        error?.message.hasSuffix("holds of containers of images alone, and here this one is a program of the host")
          == true)
    }
  }

  @Test("nor where the pod has users of its own") func ownUsers() {
    let error = #expect(throws: PlanningError.self) { try planned([:], spec: ["hostUsers": false]) }
    #expect(error?.reason == "CreateContainerConfigError")
    #expect(error?.message.hasPrefix("hostUsers: false holds of containers of images alone") == true)
  }

  private let maps: JSONObject = ["configmaps/cm": ["data": ["key": "value", "bad=name": "x", "other": "o"]]]

  @Test("a missing ConfigMap or key fails in kubelet's words, an optional one leaves the variable out")
  func missing() throws {
    func reference(_ map: String, _ key: String, optional: Bool) -> JSON {
      [
        [
          "name": "V",
          "valueFrom": ["configMapKeyRef": ["name": .string(map), "key": .string(key), "optional": .bool(optional)]],
        ]
      ]
    }
    #expect(message(reference("no", "key", optional: false), references: maps) == "configmap \"no\" not found")
    #expect(
      message(reference("cm", "no", optional: false), references: maps) == "couldn't find key no in ConfigMap ns/cm")
    for absent in [reference("no", "key", optional: true), reference("cm", "no", optional: true)] {
      #expect(try environment(absent, references: maps).allSatisfy { !$0.hasPrefix("V=") })
    }
    #expect(try environment(reference("cm", "key", optional: false), references: maps).contains("V=value"))
    #expect(message([], from: [["configMapRef": ["name": "no"]]]) == "configmap \"no\" not found")
    #expect(message([], from: [["secretRef": ["name": "s"]]]) == "secret \"s\" not found")
  }

  @Test("a Secret's bytes that are no text make the pod wait, and the message names the variable")
  func binarySecrets() throws {
    // The bytes 61 FF FE.
    let secrets: JSONObject = ["secrets/s": ["data": ["raw": "Yf/+", "good": "Z29vZA=="]]]
    let variable: JSON = [["name": "V", "valueFrom": ["secretKeyRef": ["name": "s", "key": "raw"]]]]
    let rest = "the value in secret \"s\" is not valid UTF-8; mount it as a file"
    #expect(message(variable, references: secrets) == "environment variable \"V\": \(rest)")
    let all: JSON = [["prefix": "P_", "secretRef": ["name": "s"]]]
    #expect(message([], from: all, references: secrets) == "environment variable \"P_raw\": \(rest)")
    // A key that nobody asks for harms nobody.
    let good: JSON = [["name": "V", "valueFrom": ["secretKeyRef": ["name": "s", "key": "good"]]]]
    #expect(try environment(good, references: secrets).contains("V=good"))
  }

  @Test("Secrets give their decoded values, by key and all together with a prefix; kubelet's words when one is missing")
  func secrets() throws {
    // "p4ss=", "other" and "a\0b" in base64.
    let secrets: JSONObject = ["secrets/s": ["data": ["key": "cDRzcz0=", "other": "b3RoZXI=", "1": "MQ=="]]]
    func reference(_ name: String, _ key: String, optional: Bool = false) -> JSON {
      [
        [
          "name": "V",
          "valueFrom": ["secretKeyRef": ["name": .string(name), "key": .string(key), "optional": .bool(optional)]],
        ]
      ]
    }
    #expect(try environment(reference("s", "key"), references: secrets).contains("V=p4ss="))
    #expect(message(reference("no", "key"), references: secrets) == "secret \"no\" not found")
    #expect(message(reference("s", "no"), references: secrets) == "couldn't find key no in Secret ns/s")
    for absent in [reference("no", "key", optional: true), reference("s", "no", optional: true)] {
      #expect(try environment(absent, references: secrets).allSatisfy { !$0.hasPrefix("V=") })
    }
    let all = try environment([], from: [["secretRef": ["name": "s"], "prefix": "P_"]], references: secrets)
    #expect(all.filter { $0.hasPrefix("P_") } == ["P_1=1", "P_key=p4ss=", "P_other=other"])
    #expect(try environment([], from: [["secretRef": ["name": "no", "optional": true]]]).count == 3)
    let broken: JSONObject = ["secrets/s": ["data": ["key": "YQBi"]]]
    #expect(
      message(reference("s", "key"), references: broken) == "environment variable \"V\" contains a nul byte")
  }

  @Test("subPathExpr takes the container's variables; a missing one, an absolute path and .. are errors")
  func subPathExpressions() throws {
    var place = place
    place.volumes = ["v": "/pods/7/volumes/v"]
    func path(_ expression: String, _ value: String = "a/b") throws -> String? {
      let mount: JSON = ["name": "v", "mountPath": "/x", "subPathExpr": .string(expression)]
      let container: JSON = ["volumeMounts": [mount], "env": [["name": "A", "value": .string(value)]]]
      return try planned(container, place: place).containers.first?.mounts.first?.subPath
    }
    #expect(try path("$(A)/c") == "a/b/c")
    #expect(try path("plain") == "plain")
    for (expression, value, text) in [
      ("$(NO)", "", "missing value for \"NO\""), ("$(A)", "/etc", "error SubPath `/etc` must not be an absolute path"),
      ("$(A)/x", "..", "unable to provision SubPath `../x`: must not contain '..'"),
    ] {
      let error = #expect(throws: PlanningError.self) { try path(expression, value) }
      #expect(error?.message == text)
      #expect(error?.reason == "CreateContainerConfigError")
    }
  }

  @Test("files of the downward API: maps are a line an entry, quoted as Go does; resources name their container")
  func downwardFiles() throws {
    var body = assignment(7, spec: podSpec())
    body.labels = ["b": "2", "a": "x\"y\\ \n\u{1}\u{e9}\u{a0}"]
    let values = DownwardAPI(assignment: body, place: place)
    #expect(
      try values.text(of: .field(path: "metadata.labels"), askedBy: nil)
        == "a=\"x\\\"y\\\\ \\n\\x01\u{e9}\\u00a0\"\nb=\"2\"")
    #expect(try values.text(of: .field(path: "metadata.annotations"), askedBy: nil) == "")
    let limit = DownwardValue.resource(container: "main", name: "limits.memory", divisor: "1Gi")
    #expect(try values.text(of: limit, askedBy: nil) == "8")
    let error = #expect(throws: DownwardError.self) {
      try values.text(of: .resource(container: "no", name: "limits.cpu", divisor: nil), askedBy: nil)
    }
    #expect(error?.message == "container no not found")
  }

  @Test("envFrom takes every key with its prefix, env wins, and names that cannot be are left out")
  func imports() throws {
    let result = try environment(
      [["name": "P_key", "value": "mine"]], from: [["configMapRef": ["name": "cm"], "prefix": "P_"]], references: maps)
    #expect(result.contains("P_key=mine") && result.contains("P_other=o"))
    #expect(result.allSatisfy { !$0.contains("bad") })
  }

  @Test("$(VAR) expands in env in order, in command and args, and $$ escapes it")
  func expansion() throws {
    let container: JSON = [
      "command": ["run", "$(A)", "$(NONE)", "$$(A)"], "args": ["$(B)", "$(STINT_FENCING_TOKEN)"],
      "env": [["name": "A", "value": "1"], ["name": "B", "value": "$(A)2$(C)"], ["name": "C", "value": "3"]],
    ]
    let main = try #require(try planned(container).containers.first)
    #expect(main.arguments == ["run", "1", "$(NONE)", "$(A)", "12$(C)", "7"])
  }

  @Test("every container has its fencing token, which the manifest cannot overwrite, HOSTNAME and a PATH, and no more")
  func defaults() throws {
    let result = try environment([["name": "STINT_FENCING_TOKEN", "value": "999"]])
    #expect(
      result == [
        "HOSTNAME=pod-7", "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "STINT_FENCING_TOKEN=7",
      ])
  }

  @Test(
    "fieldRef reads the pod's own fields",
    arguments: [
      ("metadata.name", "pod-7"), ("metadata.namespace", "ns"), ("metadata.uid", "uid-7"),
      ("metadata.labels['a.b/c']", "y"), ("metadata.labels['none']", ""), ("metadata.annotations['note']", "n"),
      ("spec.nodeName", "node-1"), ("spec.serviceAccountName", "default"), ("status.podIP", "127.0.0.1"),
      ("status.hostIP", "127.0.0.1"),
    ])
  func fields(path: String, value: String) throws {
    let env: JSON = [["name": "V", "valueFrom": ["fieldRef": ["fieldPath": .string(path)]]]]
    #expect(try environment(env).contains("V=\(value)"))
  }

  @Test("an unknown field path is an error", arguments: ["status.phase", "metadata.labels", "metadata.labels['']", ""])
  func unknownField(path: String) throws {
    let env: JSON = [["name": "V", "valueFrom": ["fieldRef": ["fieldPath": .string(path)]]]]
    #expect(message(env) == "unsupported fieldPath: \(path)")
  }

  @Test("resourceFieldRef counts in whole divisors, rounded up; a missing limit is the node's, a missing request 0")
  func resources() throws {
    func value(_ resource: String, _ divisor: String?) throws -> String? {
      var reference: JSON = ["resource": .string(resource)]
      if let divisor { reference["divisor"] = .string(divisor) }
      let env: JSON = [["name": "V", "valueFrom": ["resourceFieldRef": reference]]]
      let resources: JSON = ["limits": ["cpu": "1500m"], "requests": ["memory": "3Mi"]]
      return try environment(env, resources: resources).first { $0.hasPrefix("V=") }
    }
    #expect(try value("limits.cpu", nil) == "V=2")
    #expect(try value("limits.cpu", "1m") == "V=1500")
    #expect(try value("requests.memory", "1Mi") == "V=3")
    #expect(try value("limits.memory", "1Mi") == "V=8192")
    #expect(try value("requests.cpu", nil) == "V=0")
    #expect(message([["name": "V", "valueFrom": ["resourceFieldRef": ["resource": "limits.gpu"]]]]) != nil)
    #expect(message([["name": "V", "valueFrom": ["resourceFieldRef": ["resource": "cpu"]]]]) != nil)
  }

  @Test("args without a command are no command line: they belong to the image")
  func argsOnly() throws {
    let main = try #require(try planned(["command": [], "args": ["-x"]]).containers.first)
    #expect(main.arguments.isEmpty)
  }

  @Test("mounts take their volume's path; a volume without one is an error")
  func mounts() throws {
    var place = place
    place.volumes = ["q": "/pods/7/volumes/q"]
    let mount: JSON = ["name": "q", "mountPath": "/questions.json", "subPath": "questions.json", "readOnly": true]
    let main = try #require(try planned(["volumeMounts": [mount]], place: place).containers.first)
    #expect(
      main.mounts == [
        PodPlan.Mount(
          source: "/pods/7/volumes/q", subPath: "questions.json", path: "/questions.json", readOnly: true)
      ])
    #expect(main.workingDirectory == "/")
    #expect(throws: PlanningError.self) {
      try planned(["volumeMounts": [["name": "none", "mountPath": "/x"]]], place: place)
    }
  }

  @Test("variables that double each other end at the kernel's bound, with the variable's name")
  func doublingVariables() {
    var env: [JSON] = [["name": "E0", "value": "xxxxxxxxxx"]]
    for index in 1...40 {
      env.append(["name": .string("E\(index)"), "value": .string("$(E\(index - 1))$(E\(index - 1))")])
    }
    #expect(
      message(.array(env))
        == "environment variable \"E14\" is longer than 131071 bytes with its name, the most that a program can be "
        + "started with")
  }

  private func refusal(_ container: JSON, references: JSONObject = JSONObject(), spec: JSON = [:]) -> String? {
    do {
      _ = try planned(container, references: references, spec: spec)
      return nil
    } catch let error as PlanningError {
      return error.reason == "CreateContainerConfigError" ? "\(error.container): \(error.message)" : nil
    } catch {
      return nil
    }
  }

  @Test("many expanded arguments end at what a program can be started with, one at its own bound")
  func longArguments() {
    let env: JSON = [["name": "A", "value": .string(String(repeating: "x", count: 100_000))]]
    let many = ["echo"] + [String](repeating: "$(A)", count: 5_000)
    let refused = refusal(["env": env, "command": .strings(many)])
    #expect(refused?.hasPrefix("main: command, args and environment are longer than 2097152 bytes") == true)
    #expect(
      refusal(["env": env, "command": ["echo"], "args": ["$(A)$(A)"]])
        == "main: args[0] is longer than 131071 bytes with its variables expanded")
  }

  @Test("a big ConfigMap imported by many containers ends at the plan's bound, and at the environment's in one")
  func manyImports() {
    let half = String(repeating: "y", count: 100_000)
    let data: JSON = ["a": .string(half), "b": .string(half), "c": .string(half), "d": .string(half)]
    let references = JSONObject(entries: [("configmaps/big", ["data": data])])
    let from: JSON = [["configMapRef": ["name": "big"]]]
    let inits: [JSON] = (0..<20).map {
      ["name": .string("i\($0)"), "image": "i", "command": ["x"], "envFrom": from]
    }
    let refused = refusal([:], references: references, spec: ["initContainers": .array(inits)])
    #expect(refused?.hasPrefix("i10: command, args, environment and mounts of the pod's containers") == true)
    let imports: [JSON] = (0..<10).map { ["prefix": .string("P\($0)"), "configMapRef": ["name": "big"]] }
    #expect(
      message([], from: .array(imports), references: references)?.contains("longer than 2097152 bytes") == true)
  }

  @Test("subPathExpr ends at the longest path, and paths with .. are the container's own")
  func expandedPaths() throws {
    var place = place
    place.volumes = ["q": "/pods/7/volumes/q"]
    let env: JSON = [["name": "A", "value": .string(String(repeating: "x", count: 3_000))]]
    let mount: JSON = ["name": "q", "mountPath": "/a/../../b", "subPathExpr": "$(A)$(A)"]
    #expect(throws: PlanningError.self) { try planned(["env": env, "volumeMounts": [mount]], place: place) }
    let main = try #require(
      try planned(
        [
          "workingDir": "rel/../x", "terminationMessagePath": "/tmp/../../../dev/termination-log",
          "volumeMounts": [["name": "q", "mountPath": "/a/../../b"]],
        ], place: place
      ).containers.first)
    #expect(main.workingDirectory == "/x")
    #expect(main.terminationMessagePath == "/dev/termination-log")
    #expect(main.mounts.map(\.path) == ["/b"])
  }

  @Test("grace, deadline and host name come from the spec; a long pod name is cut to 63 characters")
  func pod() throws {
    let plan = try planned(
      [:], spec: ["terminationGracePeriodSeconds": 5, "activeDeadlineSeconds": .int(Int64.max), "hostname": "h"])
    #expect(plan.terminationGraceMilliseconds == 5_000)
    #expect(try #require(plan.activeDeadlineMilliseconds) > 0)
    #expect(plan.hostname == "h")
    var body = assignment()
    body.podName = String(repeating: "a", count: 62) + "-" + "bcdef"
    #expect(try PodPlanner.plan(body, place: place).hostname == String(repeating: "a", count: 62))
    body.hostname = "own-3"
    #expect(try PodPlanner.plan(body, place: place).hostname == "own-3", "the pod's own name goes first")
  }
}

@Suite("Claims in plans") struct ClaimPlanTests {
  private func planned(_ volume: JSON) throws -> PodPlan.Mount? {
    var main = container("main")
    main["volumeMounts"] = [["name": "v", "mountPath": "/data", "subPathExpr": "$(PART)"]]
    main["env"] = [["name": "PART", "value": "a/b"]]
    var spec = podSpec(containers: [main]).json
    var named = volume
    named["name"] = "v"
    spec["volumes"] = [named]
    var there = place
    there.volumes = ["v": "/node/claims/pvc-1"]
    return try PodPlanner.plan(assignment(spec: PodSpec(json: spec)), place: there).containers[0].mounts.first {
      $0.path == "/data"
    }
  }

  @Test("a claim is mounted as any volume is, its parts by the same rules, and read-only where its volume says so")
  func mounts() throws {
    let plain = try planned(["persistentVolumeClaim": ["claimName": "c"]])
    #expect(plain == PodPlan.Mount(source: "/node/claims/pvc-1", subPath: "a/b", path: "/data", readOnly: false))
    #expect(try planned(["persistentVolumeClaim": ["claimName": "c", "readOnly": true]])?.readOnly == true)
    #expect(try planned(["ephemeral": ["volumeClaimTemplate": ["spec": [:]]]])?.readOnly == false)
  }

  @Test("a volume's name that leads elsewhere is none, and what is not understood is not guessed") func sources() {
    func source(_ json: JSON) -> ClaimSource? {
      var references = JSONObject()
      references["volumes/v"] = json
      return ClaimSource(assignment(references: references), volume: "v")
    }
    #expect(source(["volume": "pvc-1", "stored": true, "make": true]) == .stored(volume: "pvc-1", isNew: true))
    #expect(source(["volume": "pvc-1", "stored": true]) == .stored(volume: "pvc-1", isNew: false))
    for name in ["", "..", "a/b", "A", ".hidden"] {
      #expect(source(["volume": .string(name), "stored": true]) == nil, "\(name)")
    }
    for share: JSON in [
      ["server": "s", "path": "relative"], ["server": "-v", "path": "/p"], ["server": "s", "path": "/p\nq"],
    ] {
      #expect(source(["volume": "v", "nfs": share]) == nil, "\(share.text)")
    }
    #expect(source(["volume": "v", "nfs": ["server": "s", "path": "/p"], "options": ["a\nb"]]) == nil)
    #expect(source(["volume": "v", "hostPath": ["path": "/srv"]]) == .hostPath(path: "/srv", type: ""))
    guard case .share(let share)? = source(["volume": "v", "nfs": ["server": "fd00::1", "path": "/x"]]) else {
      Issue.record("no share")
      return
    }
    #expect(share.source == "[fd00::1]:/x" && share.options == [])
  }
}
