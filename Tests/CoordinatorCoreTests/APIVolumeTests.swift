// What pods may use from the API: Secrets, the downward API and projected volumes, accepted with Kubernetes' defaults
// and refused in its words.

import ClusterProto
import Testing

@testable import CoordinatorCore

@Suite("API: volumes and references") struct APIVolumeTests {
  private func main(_ members: JSON) -> JSON {
    var container: JSON = ["name": "main", "image": "busybox", "command": ["true"]]
    for (key, value) in members.objectValue ?? JSONObject() { container[key] = value }
    return ["containers": [container]]
  }

  private func volume(_ source: JSON) -> JSON {
    var volume: JSON = ["name": "v"]
    for (key, value) in source.objectValue ?? JSONObject() { volume[key] = value }
    return ["volumes": [volume]]
  }

  @Test("what no node could mount or start is refused when it is made: a directory's path, too long ones, zero bytes")
  func unusable() throws {
    let harness = try APIHarness()
    let long = String(repeating: "a", count: 256)
    let deep = String(repeating: "a/", count: 2_048) + "a"
    let file = "must name a file, not a directory"
    let name = "must have no name of more than 255 bytes between slashes"
    let items: (String) -> JSON = { ["configMap": ["name": "c", "items": [["key": "k", "path": .string($0)]]]] }
    let token: (String) -> JSON = { ["projected": ["sources": [["serviceAccountToken": ["path": .string($0)]]]]] }
    for (source, field, detail) in [
      (items("."), "configMap.items[0].path", file), (items("d/./."), "configMap.items[0].path", file),
      (items(long), "configMap.items[0].path", name),
      (items(deep), "configMap.items[0].path", "must be no more than 4095 bytes"),
      (token("."), "projected.path", file),
      (["hostPath": ["path": .string("/\(long)")]], "hostPath.path", name),
      (["hostPath": ["path": "/a\u{0}b"]], "hostPath.path", "must not contain a zero byte"),
    ] as [(JSON, String, String)] {
      var pod = main([:])
      for (key, value) in volume(source).objectValue ?? JSONObject() { pod[key] = value }
      let answer = harness.create(.jobs, Manifest.job("a", pod: pod))
      #expect(answer.code == 422 && answer.message.contains("\(field): Invalid value"), "\(answer.message.suffix(300))")
      #expect(answer.message.hasSuffix(detail), "\(answer.message.suffix(300))")
    }
    let mount: (JSON) -> JSON = { ["volumeMounts": [$0]] }
    for (members, field, detail) in [
      (["command": ["a", "b\u{0}"]], "command[1]", "must not contain a zero byte"),
      (["args": ["\u{0}"]], "args[0]", "must not contain a zero byte"),
      (["env": [["name": "A", "value": "x\u{0}y"]]], "env[0].value", "must not contain a zero byte"),
      (mount(["name": "v", "mountPath": .string("/\(long)")]), "volumeMounts[0].mountPath", name),
      (mount(["name": "v", "mountPath": "/m", "subPath": .string(long)]), "volumeMounts[0].subPath", name),
    ] as [(JSON, String, String)] {
      var pod = main(members)
      pod["volumes"] = [["name": "v", "emptyDir": [:]]]
      let answer = harness.create(.jobs, Manifest.job("b", pod: pod))
      #expect(
        answer.code == 422 && answer.message.contains("containers[0].\(field): Invalid value"), "\(answer.message)")
      #expect(answer.message.hasSuffix(detail), "\(answer.message.suffix(300))")
    }
    let most = items(String(repeating: "a", count: 255) + "/.b")
    var pod = main(["command": ["true", ""]])
    for (key, value) in volume(most).objectValue ?? JSONObject() { pod[key] = value }
    #expect(harness.create(.jobs, Manifest.job("c", pod: pod)).code == 201)
  }

  @Test("Secrets, the downward API and projected volumes are taken without a warning and get Kubernetes' defaults")
  func accepted() throws {
    let harness = try APIHarness()
    var pod = main([
      "env": [
        ["name": "A", "valueFrom": ["secretKeyRef": ["name": "s", "key": "k"]]],
        ["name": "B", "valueFrom": ["resourceFieldRef": ["resource": "limits.cpu"]]],
      ],
      "envFrom": [["prefix": "P_", "secretRef": ["name": "s", "optional": true]]],
      "volumeMounts": [["name": "p", "mountPath": "/p", "subPathExpr": "$(A)"]],
    ])
    let files: JSON = [
      ["path": "labels", "fieldRef": ["fieldPath": "metadata.labels"]],
      ["path": "mem", "resourceFieldRef": ["containerName": "main", "resource": "limits.memory", "divisor": "1Mi"]],
    ]
    pod["volumes"] = [
      ["name": "s", "secret": ["secretName": "s"]], ["name": "d", "downwardAPI": ["items": files]],
      [
        "name": "p",
        "projected": [
          "sources": [["secret": ["name": "s"]], ["configMap": ["name": "c"]], ["downwardAPI": ["items": files]]]
        ],
      ],
    ]
    let answer = harness.create(.jobs, Manifest.job("a", pod: pod))
    #expect(answer.code == 201, "\(answer.message)")
    #expect(answer.warnings == [])
    let spec = answer.object[path: ["spec", "template", "spec"]] ?? .null
    let volumes = spec["volumes"]?.arrayValue ?? []
    #expect(
      volumes.map {
        $0["secret"]?["defaultMode"] ?? $0["downwardAPI"]?["defaultMode"] ?? $0["projected"]?["defaultMode"]
      } == [420, 420, 420])
    let shown = volumes.last?[path: ["projected", "sources"]]?[2]?[path: ["downwardAPI", "items"]]
    #expect(shown?[0]?[path: ["fieldRef", "apiVersion"]] == "v1")
    let variable = spec["containers"]?[0]?["env"]?[1]
    #expect(variable?[path: ["valueFrom", "resourceFieldRef", "divisor"]] == "0")
  }

  @Test(
    "wrong volumes are refused in Kubernetes' words",
    arguments: [
      (["secret": [:]], "secret.secretName: Required value"),
      (
        ["secret": ["secretName": "s", "defaultMode": 512]],
        "secret.defaultMode: Invalid value: 512: must be a number between 0 and 0777 (octal), both inclusive"
      ),
      (
        ["secret": ["secretName": "s", "items": [["key": "k", "path": "../x"]]]],
        "secret.items[0].path: Invalid value: \"../x\": must not contain '..'"
      ),
      (
        ["downwardAPI": ["items": [["path": "p"]]]],
        "downwardAPI: Required value: one of fieldRef and resourceFieldRef is required"
      ),
      (
        ["downwardAPI": ["items": [["path": "p", "fieldRef": ["fieldPath": "spec.nodeName"]]]]],
        "downwardAPI.fieldRef.fieldPath: Unsupported value: \"spec.nodeName\": supported values: "
          + "\"metadata.annotations\", \"metadata.labels\", \"metadata.name\", \"metadata.namespace\", \"metadata.uid\""
      ),
      (
        ["downwardAPI": ["items": [["path": "p", "fieldRef": ["fieldPath": "spec.x"]]]]],
        "downwardAPI.fieldRef.fieldPath: Invalid value: \"spec.x\": error converting fieldPath: "
          + "field label not supported: spec.x"
      ),
      (
        ["downwardAPI": ["items": [["path": "p", "resourceFieldRef": ["resource": "limits.cpu"]]]]],
        "downwardAPI.resourceFieldRef.containerName: Required value"
      ),
      (
        [
          "downwardAPI": [
            "items": [
              [
                "path": "p",
                "resourceFieldRef": ["containerName": "main", "resource": "limits.cpu", "divisor": "2"],
              ]
            ]
          ]
        ],
        "downwardAPI.resourceFieldRef.divisor: Invalid value: \"limits.cpu\": only divisor's values 1m and 1 are "
          + "supported with the cpu resource"
      ),
      (
        [
          "projected": [
            "sources": [
              ["secret": ["name": "s", "items": [["key": "k", "path": "same"]]]],
              ["configMap": ["name": "c", "items": [["key": "k", "path": "same"]]]],
            ]
          ]
        ],
        "projected: Invalid value: \"c\": conflicting duplicate paths"
      ),
      (
        ["projected": ["sources": [["secret": ["name": "s"], "configMap": ["name": "c"]]]]],
        "projected.sources[0]: Forbidden: may not specify more than 1 volume type per source"
      ),
      (
        ["projected": ["sources": [["configMap": [:]]]]],
        "projected.sources[0].configMap.name: Required value"
      ),
    ] as [(JSON, String)])
  func refused(_ source: JSON, _ message: String) throws {
    let harness = try APIHarness()
    let answer = harness.create(.jobs, Manifest.job("r", pod: volume(source)))
    #expect(answer.code == 422)
    #expect(answer.message == "Job.batch \"r\" is invalid: spec.template.spec.volumes[0].\(message)")
  }

  @Test(
    "wrong variables are refused in Kubernetes' words",
    arguments: [
      (
        ["resourceFieldRef": ["resource": "limits.gpu"]],
        "resourceFieldRef.resource: Unsupported value: \"limits.gpu\": supported values: \"limits.cpu\", "
          + "\"limits.ephemeral-storage\", \"limits.memory\", \"requests.cpu\", \"requests.ephemeral-storage\", "
          + "\"requests.memory\""
      ),
      (
        ["resourceFieldRef": ["resource": "limits.memory", "divisor": "3"]],
        "resourceFieldRef.divisor: Invalid value: \"limits.memory\": only divisor's values 1, 1k, 1M, 1G, 1T, 1P, 1E, "
          + "1Ki, 1Mi, 1Gi, 1Ti, 1Pi, 1Ei are supported with the memory resource"
      ),
      (
        ["fieldRef": ["fieldPath": "metadata.labels"]],
        "fieldRef.fieldPath: Unsupported value: \"metadata.labels\": supported values: \"metadata.name\", "
          + "\"metadata.namespace\", \"metadata.uid\", \"spec.nodeName\", \"spec.serviceAccountName\", "
          + "\"status.hostIP\", \"status.hostIPs\", \"status.podIP\", \"status.podIPs\""
      ),
      (["secretKeyRef": ["name": "s"]], "secretKeyRef.key: Required value"),
    ] as [(JSON, String)])
  func refusedVariables(_ source: JSON, _ message: String) throws {
    let harness = try APIHarness()
    let answer = harness.create(.jobs, Manifest.job("r", pod: main(["env": [["name": "A", "valueFrom": source]]])))
    #expect(
      answer.message == "Job.batch \"r\" is invalid: spec.template.spec.containers[0].env[0].valueFrom.\(message)")
  }

  @Test("subPathExpr excludes subPath and may not leave the volume")
  func subPathExpressions() throws {
    let harness = try APIHarness()
    func message(_ mount: JSON) -> String {
      var mount = mount
      mount["name"] = "v"
      mount["mountPath"] = "/m"
      var pod = main(["volumeMounts": [mount]])
      pod["volumes"] = [["name": "v", "emptyDir": [:]]]
      return harness.create(.jobs, Manifest.job("r", pod: pod)).message
    }
    #expect(
      message(["subPath": "a", "subPathExpr": "b"]).hasSuffix(
        "volumeMounts[0].subPathExpr: Invalid value: \"b\": subPathExpr and subPath are mutually exclusive"))
    #expect(message(["subPathExpr": "../b"]).hasSuffix("subPathExpr: Invalid value: \"../b\": must not contain '..'"))
  }

  @Test("a path that climbs out behind a combining accent is refused, a relative hostPath is warned about")
  func paths() throws {
    let harness = try APIHarness()
    var pod = main([:])
    pod["volumes"] = [["name": "c", "configMap": ["name": "c", "items": [["key": "k", "path": "../\u{301}x"]]]]]
    let refused = harness.create(.jobs, Manifest.job("a", pod: pod))
    #expect(refused.code == 422)
    #expect(refused.message.contains("must not contain '..'"), "\(refused.message)")
    pod["volumes"] = [["name": "h", "hostPath": ["path": "data", "type": "DirectoryOrCreate"]]]
    #expect(
      harness.create(.jobs, Manifest.job("b", pod: pod)).warnings == [
        "spec.template.spec.volumes[0].hostPath.path: not an absolute path; no node will set it up, so the pod will "
          + "wait"
      ])
  }

  @Test("nothing can be mounted on the root or inside /proc", arguments: ["/", "//", "/./", "/proc", "/proc/self"])
  func mountPoints(path: String) throws {
    let harness = try APIHarness()
    var pod = main(["volumeMounts": [["name": "v", "mountPath": .string(path)]]])
    pod["volumes"] = [["name": "v", "emptyDir": [:]]]
    let refused = harness.create(.jobs, Manifest.job("a", pod: pod))
    #expect(refused.code == 422)
    let field = "spec.template.spec.containers[0].volumeMounts[0].mountPath: Forbidden: nothing can be mounted on"
    #expect(refused.message.contains("\(field) \"\(path)\": it is "), "\(refused.message)")
    let message = harness.create(.jobs, Manifest.job("b", pod: main(["terminationMessagePath": .string(path)])))
    #expect(message.code == 422, "\(message.message)")
  }
}
