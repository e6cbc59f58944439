// get, create, update, patch and delete over the kinds: what is stored, what is answered, what conflicts.

import ClusterProto
import Testing

@testable import CoordinatorCore

@Suite("verbs") struct APIVerbTests {
  @Test("a Job gets exactly Kubernetes' defaults, labels and selector")
  func jobDefaults() throws {
    let harness = try APIHarness()
    let answer = harness.create(.jobs, Manifest.job("done"))
    #expect(answer.code == 201)
    #expect(answer.warnings.isEmpty)
    let uid = answer.object[path: ["metadata", "uid"]]?.stringValue ?? ""
    let labels: JSON = [
      "batch.kubernetes.io/controller-uid": .string(uid), "batch.kubernetes.io/job-name": "done",
      "controller-uid": .string(uid), "job-name": "done",
    ]
    let spec: JSON = [
      "backoffLimit": 6, "completionMode": "NonIndexed", "completions": 1, "manualSelector": false, "parallelism": 1,
      "podReplacementPolicy": "TerminatingOrFailed", "suspend": false,
      "selector": ["matchLabels": ["batch.kubernetes.io/controller-uid": .string(uid)]],
      "template": [
        "metadata": ["labels": labels],
        "spec": [
          "containers": [
            [
              "command": ["sh", "-c", "true"], "image": "busybox", "imagePullPolicy": "Always", "name": "main",
              "resources": .object(JSONObject()), "terminationMessagePath": "/dev/termination-log",
              "terminationMessagePolicy": "File",
            ]
          ],
          "dnsPolicy": "ClusterFirst", "restartPolicy": "Never", "schedulerName": "default-scheduler",
          "securityContext": .object(JSONObject()), "terminationGracePeriodSeconds": 30,
        ],
      ],
    ]
    #expect(answer.object["spec"] == spec)
    #expect(answer.object[path: ["metadata", "labels"]] == labels)
    #expect(answer.object[path: ["metadata", "generation"]] == 1)
    #expect(answer.object[path: ["metadata", "creationTimestamp"]] == "2026-11-23T10:00:00Z")
    let stored = harness.get(.jobs, "done")
    #expect(stored.code == 200)
    #expect(stored.object["spec"] == spec)
  }

  @Test(
    "completions and parallelism default as Kubernetes' table says",
    arguments: [
      ([:], 1, 1), (["completions": 5], 5, 1), (["parallelism": 3], nil, 3),
      (["completions": 0, "parallelism": 0], 0, 0),
    ] as [(JSON, Int64?, Int64)])
  func parallelism(_ spec: JSON, _ completions: Int64?, _ parallelism: Int64) throws {
    let harness = try APIHarness()
    let answer = harness.create(.jobs, Manifest.job("j", spec: spec))
    #expect(answer.object[path: ["spec", "completions"]]?.intValue == completions)
    #expect(answer.object[path: ["spec", "parallelism"]]?.intValue == parallelism)
  }

  @Test("a Job keeps its own labels; one with template labels shows those and the generated ones")
  func labels() throws {
    let harness = try APIHarness()
    var own = Manifest.job("own")
    own[path: ["metadata", "labels"]] = ["a": "b"]
    #expect(harness.create(.jobs, own).object[path: ["metadata", "labels"]] == ["a": "b"])
    #expect(harness.list(.jobs) { $0.labelSelector = "job-name=own" }.items.isEmpty)
    var template = Manifest.job("tpl")
    template[path: ["spec", "template", "metadata", "labels"]] = ["app": "x"]
    let shown = harness.create(.jobs, template).object[path: ["metadata", "labels"]] ?? .null
    #expect(shown["app"] == "x")
    #expect(shown["job-name"] == "tpl")
  }

  @Test("a manual selector is taken as it is")
  func manualSelector() throws {
    let harness = try APIHarness()
    var job = Manifest.job("m", spec: ["manualSelector": true, "selector": ["matchLabels": ["a": "b"]]])
    job[path: ["spec", "template", "metadata", "labels"]] = ["a": "b"]
    let answer = harness.create(.jobs, job)
    #expect(answer.code == 201)
    #expect(answer.object[path: ["spec", "template", "metadata", "labels"]] == ["a": "b"])
    job[path: ["metadata", "name"]] = "n"
    job[path: ["spec", "selector"]] = nil
    #expect(
      harness.create(.jobs, job).message
        == #"Job.batch "n" is invalid: [spec.selector: Required value, spec.template.metadata.labels: "#
        + #"Invalid value: {"a":"b"}: `selector` does not match template `labels`]"#)
  }

  @Test("a bare pod gets the pod's defaults, its tolerations and its class")
  func podDefaults() throws {
    let harness = try APIHarness()
    let pod = harness.create(.pods, Manifest.pod("p")).object
    let spec = pod["spec"] ?? .null
    #expect(spec["restartPolicy"] == "Always")
    #expect(spec["serviceAccountName"] == "default")
    #expect(spec["enableServiceLinks"] == true)
    #expect(spec["priority"] == 0)
    #expect(spec["containers"]?[0]?["imagePullPolicy"] == "IfNotPresent")
    #expect(spec["tolerations"]?.arrayValue?.map { $0["tolerationSeconds"]?.intValue } == [10, 10])
    #expect(pod[path: ["status", "phase"]] == "Pending")
    #expect(pod[path: ["status", "qosClass"]] == "BestEffort")
    let other = harness.create(.pods, Manifest.pod("q", spec: ["tolerations": [["operator": "Exists"]]]))
    #expect(other.object[path: ["spec", "tolerations"]]?.arrayValue?.count == 1)
  }

  @Test(
    "volumes and environment get their defaults",
    arguments: [
      (["name": "v"], ["name": "v", "emptyDir": [:]]),
      (["name": "v", "configMap": ["name": "m"]], ["name": "v", "configMap": ["name": "m", "defaultMode": 420]]),
      (["name": "v", "hostPath": ["path": "/x"]], ["name": "v", "hostPath": ["path": "/x", "type": ""]]),
    ] as [(JSON, JSON)])
  func volumeDefaults(_ given: JSON, _ expected: JSON) throws {
    let harness = try APIHarness()
    let answer = harness.create(.jobs, Manifest.job("v", pod: ["volumes": [given]]))
    let volume = answer.object[path: ["spec", "template", "spec", "volumes"]]?[0] ?? .null
    #expect(volume.text == expected.text)
  }

  @Test("generateName makes names that are free, and the prefix is shown")
  func generateName() throws {
    let harness = try APIHarness()
    var names: Set<String> = []
    for _ in 0..<20 {
      var job = Manifest.job("")
      job[path: ["metadata", "generateName"]] = "made-"
      let answer = harness.create(.jobs, job)
      #expect(answer.code == 201)
      #expect(answer.name.hasPrefix("made-"))
      #expect(answer.name.utf8.count == 10)
      names.insert(answer.name)
    }
    #expect(names.count == 20)
  }

  @Test("what is there already, and a namespace that is not, are refused in Kubernetes' words")
  func existence() throws {
    let harness = try APIHarness()
    harness.create(.jobs, Manifest.job("run"))
    let again = harness.create(.jobs, Manifest.job("run"))
    #expect(again.code == 409)
    #expect(again.reason == "AlreadyExists")
    #expect(again.message == #"jobs.batch "run" already exists"#)
    #expect(again.object["details"] == ["name": "run", "group": "batch", "kind": "jobs"])
    let nowhere = harness.create(.jobs, Manifest.job("x"), namespace: "nosuch")
    #expect(nowhere.code == 404)
    #expect(nowhere.message == #"namespaces "nosuch" not found"#)
    let missing = harness.get(.jobs, "nosuch")
    #expect(missing.code == 404)
    #expect(missing.message == #"jobs.batch "nosuch" not found"#)
    #expect(harness.get(.pods, "p").message == #"pods "p" not found"#)
    var elsewhere = Manifest.job("y")
    elsewhere[path: ["metadata", "namespace"]] = "other"
    #expect(
      harness.create(.jobs, elsewhere).message
        == "the namespace of the provided object does not match the namespace sent on the request")
    var versioned = Manifest.job("z")
    versioned[path: ["metadata", "resourceVersion"]] = "5"
    #expect(
      harness.create(.jobs, versioned).message == "resourceVersion should not be set on objects to be created")
  }

  @Test("a dry run answers as if, and stores nothing")
  func dryRun() throws {
    let harness = try APIHarness()
    let answer = harness.create(.jobs, Manifest.job("d")) { $0.dryRun = true }
    #expect(answer.code == 201)
    #expect(answer.object[path: ["metadata", "uid"]] != nil)
    #expect(answer.object[path: ["metadata", "resourceVersion"]] == nil)
    #expect(harness.get(.jobs, "d").code == 404)
    harness.create(.configmaps, Manifest.configMap("m"))
    let patched = harness.patch(.configmaps, "m", .merge, ["data": ["a": "c"]]) { $0.dryRun = true }
    #expect(patched.object[path: ["data", "a"]] == "c")
    #expect(harness.get(.configmaps, "m").object[path: ["data", "a"]] == "b")
    #expect(harness.delete(.configmaps, "m") { $0.dryRun = true }.code == 200)
    #expect(harness.get(.configmaps, "m").code == 200)
  }

  @Test("an update on a stale version conflicts with Kubernetes' message; without a version it wins")
  func conflict() throws {
    let harness = try APIHarness()
    let first = harness.create(.configmaps, Manifest.configMap("m")).object
    var changed = first
    changed[path: ["data", "a"]] = "c"
    #expect(harness.update(.configmaps, "m", changed).code == 200)
    let stale = harness.update(.configmaps, "m", changed)
    #expect(stale.code == 409)
    #expect(stale.reason == "Conflict")
    #expect(
      stale.message
        == #"Operation cannot be fulfilled on configmaps "m": the object has been modified; please apply your "#
        + #"changes to the latest version and try again"#
    )
    changed[path: ["metadata", "resourceVersion"]] = nil
    changed[path: ["data", "a"]] = "d"
    #expect(harness.update(.configmaps, "m", changed).object[path: ["data", "a"]] == "d")
    changed[path: ["metadata", "uid"]] = "other"
    let reborn = harness.update(.configmaps, "m", changed)
    #expect(reborn.code == 409)
    #expect(reborn.message.contains("Precondition failed: UID in precondition: other, UID in object meta: "))
    #expect(harness.update(.configmaps, "n", first).code == 400)
    #expect(harness.update(.configmaps, "nosuch", Manifest.configMap("nosuch")).code == 404)
  }

  @Test("an equal update changes nothing, not even the version")
  func equalUpdate() throws {
    let harness = try APIHarness()
    let first = harness.create(.jobs, Manifest.job("j", spec: ["suspend": true]))
    harness.wait(milliseconds: 1000)
    let before = harness.get(.jobs, "j")
    let same = harness.update(.jobs, "j", before.object)
    #expect(same.code == 200)
    #expect(same.resourceVersion == before.resourceVersion)
    #expect(first.code == 201)
  }

  @Test("a spec change raises the generation, a label does not, status is not taken from a spec write")
  func generation() throws {
    let harness = try APIHarness()
    harness.create(.jobs, Manifest.job("j", spec: ["suspend": true]))
    let labelled = harness.patch(.jobs, "j", .merge, ["metadata": ["labels": ["x": "y"]]])
    #expect(labelled.object[path: ["metadata", "generation"]] == 1)
    let changed = harness.patch(
      .jobs, "j", .merge, ["spec": ["parallelism": 2], "status": ["succeeded": 5, "conditions": []]])
    #expect(changed.object[path: ["metadata", "generation"]] == 2)
    #expect(changed.object[path: ["status", "succeeded"]] == nil)
  }

  @Test("the status subresource writes status only")
  func status() throws {
    let harness = try APIHarness()
    harness.create(.jobs, Manifest.job("j", spec: ["suspend": true]))
    harness.step([.timer])
    let answer = harness.patch(
      .jobs, "j", .merge, ["spec": ["parallelism": 9], "status": ["succeeded": 3]], subresource: "status")
    #expect(answer.code == 200)
    #expect(answer.object[path: ["status", "succeeded"]] == 3)
    #expect(answer.object[path: ["spec", "parallelism"]] == 1)
    let lower = harness.patch(.jobs, "j", .merge, ["status": ["succeeded": 2]], subresource: "status")
    #expect(lower.code == 422)
    let unready = harness.patch(.jobs, "j", .merge, ["status": ["ready": 3]], subresource: "status")
    #expect(unready.message.contains("cannot set more ready pods than active"))
    let got = harness.ask(
      APIRequest(verb: .get, kind: .jobs, namespace: "default", name: "j", subresource: "status"))
    #expect(got.code == 200)
  }

  @Test(
    "other subresources are refused with a reason",
    arguments: [
      ("binding", 405), ("proxy", 405), ("resize", 405),
      ("scale", 404), ("nonsense", 404), ("exec", 404), ("attach", 404),
    ])
  func subresources(_ name: String, _ code: Int) throws {
    let harness = try APIHarness()
    harness.create(.pods, Manifest.pod("p"))
    let answer = harness.ask(
      APIRequest(verb: .create, kind: .pods, namespace: "default", name: "p", subresource: name, body: [:]))
    #expect(answer.code == code)
    #expect(answer.object["status"] == "Failure")
    if code == 405 { #expect(answer.message.hasPrefix("pods/\(name) is not served by this version: ")) }
  }

  @Test(
    "what may not change in a Job is immutable",
    arguments: [
      ("spec.completions", ["completions": 7]), ("spec.selector", ["selector": ["matchLabels": ["a": "b"]]]),
      ("spec.template", ["template": ["spec": ["terminationGracePeriodSeconds": 5]]]),
      ("spec.completionMode", ["completionMode": "Indexed"]),
    ] as [(String, JSON)])
  func immutable(_ field: String, _ spec: JSON) throws {
    let harness = try APIHarness()
    harness.create(.jobs, Manifest.job("j"))
    let answer = harness.patch(.jobs, "j", .merge, ["spec": spec])
    #expect(answer.code == 422)
    let causes = answer.object[path: ["details", "causes"]]?.arrayValue ?? []
    #expect(
      causes.contains {
        $0["field"]?.stringValue == field && $0["message"]?.stringValue?.hasSuffix(": field is immutable") == true
      })
  }

  @Test(
    "what may change in a Job changes",
    arguments: ["parallelism", "backoffLimit", "activeDeadlineSeconds", "ttlSecondsAfterFinished"])
  func mutable(_ field: String) throws {
    let harness = try APIHarness()
    harness.create(.jobs, Manifest.job("j"))
    let answer = harness.patch(.jobs, "j", .merge, ["spec": [field: 4000]])
    #expect(answer.code == 200)
    #expect(answer.object[path: ["spec", field]] == 4000)
  }

  @Test("a suspended Job that has not run takes scheduling directives, but no other image")
  func suspendedTemplate() throws {
    let harness = try APIHarness()
    harness.create(.jobs, Manifest.job("j", spec: ["suspend": true]))
    let directives = harness.patch(
      .jobs, "j", .merge, ["spec": ["template": ["spec": ["nodeSelector": ["disk": "ssd"]]]]])
    #expect(directives.code == 200)
    #expect(directives.object[path: ["spec", "template", "spec", "nodeSelector", "disk"]] == "ssd")
    let resources = harness.patch(
      .jobs, "j", .strategic,
      [
        "spec": [
          "template": ["spec": ["containers": [["name": "main", "resources": ["requests": ["cpu": "1"]]]]]]
        ]
      ])
    #expect(resources.code == 200)
    let image = harness.patch(
      .jobs, "j", .strategic, ["spec": ["template": ["spec": ["containers": [["name": "main", "image": "x"]]]]]])
    #expect(image.code == 422)
    #expect(image.message.hasPrefix(#"Job.batch "j" is invalid: spec.template: Invalid value: "#))
    harness.create(.jobs, Manifest.job("running"))
    #expect(
      harness.patch(.jobs, "running", .merge, ["spec": ["template": ["spec": ["nodeSelector": ["a": "b"]]]]]).code
        == 422)
  }

  @Test("the manifest applied again after creation is no change")
  func applyAgain() throws {
    let harness = try APIHarness()
    harness.create(.jobs, Manifest.job("j", spec: ["suspend": true]))
    harness.wait(milliseconds: 100)
    let before = harness.get(.jobs, "j").object
    let answer = harness.patch(.jobs, "j", .strategic, Manifest.job("j", spec: ["suspend": true]))
    #expect(answer.code == 200)
    #expect(answer.object["spec"] == before["spec"])
    #expect(answer.object[path: ["metadata", "generation"]] == 1)
  }

  @Test("a pod's spec is frozen but for its deadline and more tolerations")
  func podUpdate() throws {
    let harness = try APIHarness()
    harness.create(.pods, Manifest.pod("p"))
    let refused = harness.patch(.pods, "p", .merge, ["spec": ["restartPolicy": "Never"]])
    #expect(refused.code == 422)
    #expect(refused.message.contains("pod updates may not change fields other than `spec.containers[*].image`"))
    #expect(harness.patch(.pods, "p", .merge, ["spec": ["activeDeadlineSeconds": 60]]).code == 200)
    #expect(harness.patch(.pods, "p", .merge, ["metadata": ["labels": ["a": "b"]]]).code == 200)
  }

  @Test("a ConfigMap that says it is immutable is")
  func immutableConfigMap() throws {
    let harness = try APIHarness()
    var map = Manifest.configMap("m")
    map["immutable"] = true
    harness.create(.configmaps, map)
    let answer = harness.patch(.configmaps, "m", .merge, ["data": ["a": "z"]])
    #expect(
      answer.message == #"ConfigMap "m" is invalid: data: Forbidden: field is immutable when `immutable` is set"#)
    var bad = Manifest.configMap("n", ["a b": "x"])
    #expect(harness.create(.configmaps, bad).code == 422)
    bad["data"] = ["k": "x"]
    bad["binaryData"] = ["k": "eA=="]
    #expect(harness.create(.configmaps, bad).message.contains("duplicate of key present in binaryData"))
    bad["binaryData"] = ["j": "not base64!"]
    #expect(harness.create(.configmaps, bad).code == 400)
    let huge = Manifest.configMap("h", ["a": .string(String(repeating: "x", count: 1024 * 1024 + 1))])
    #expect(harness.create(.configmaps, huge).code == 422)
    let large = Manifest.configMap("h", ["a": .string(String(repeating: "x", count: 1024 * 1024 - 10))])
    #expect(harness.create(.configmaps, large).code == 201)
    var job = Manifest.job("long")
    job[path: ["spec", "template", "spec", "containers"]] = [
      ["name": "main", "image": "x", "command": [.string(String(repeating: "x", count: 3 << 20))]]
    ]
    #expect(harness.create(.jobs, job).reason == "RequestEntityTooLarge")
  }

  @Test("a Secret's stringData becomes data")
  func secretData() throws {
    let harness = try APIHarness()
    let answer = harness.create(
      .secrets, ["metadata": ["name": "s"], "stringData": ["a": "hello", "b": "", "c": "hi", "d": "hey"]])
    #expect(answer.code == 201)
    #expect(answer.object["data"] == ["a": "aGVsbG8=", "b": "", "c": "aGk=", "d": "aGV5"])
    #expect(answer.object["stringData"] == nil)
    #expect(answer.object["type"] == "Opaque")
  }

  @Test("system namespaces stay; a namespace that ends takes nothing new")
  func namespaces() throws {
    let harness = try APIHarness()
    let protected = harness.delete(.namespaces, "default")
    #expect(protected.code == 403)
    #expect(protected.message == #"namespaces "default" is forbidden: this namespace may not be deleted"#)
    let made = harness.create(.namespaces, ["metadata": ["name": "work"]])
    #expect(made.object[path: ["status", "phase"]] == "Active")
    #expect(made.object[path: ["metadata", "labels", "kubernetes.io/metadata.name"]] == "work")
    harness.create(.configmaps, Manifest.configMap("m"), namespace: "work") { _ in }
    var held = Manifest.configMap("held")
    held[path: ["metadata", "finalizers"]] = ["example.com/hold"]
    harness.create(.configmaps, held, namespace: "work")
    let gone = harness.delete(.namespaces, "work")
    #expect(gone.object[path: ["status", "phase"]] == "Terminating")
    let refused = harness.create(.configmaps, Manifest.configMap("late"), namespace: "work")
    #expect(refused.code == 403)
    #expect(
      refused.message
        == #"configmaps "late" is forbidden: unable to create new content in namespace work because it is being "#
        + #"terminated"#
    )
    #expect(harness.create(.namespaces, ["metadata": ["name": "a.b"]]).code == 422)
  }

  @Test("below the free-space mark writes are refused by name, deletes and reads are not")
  func diskLow() throws {
    let harness = try APIHarness()
    harness.create(.configmaps, Manifest.configMap("m"))
    harness.step([.diskLow(true)])
    let refused = harness.create(.configmaps, Manifest.configMap("n"))
    #expect(refused.code == 507)
    #expect(refused.message.contains("disk is almost full"))
    #expect(harness.patch(.configmaps, "m", .merge, [:]).code == 507)
    #expect(harness.get(.configmaps, "m").code == 200)
    #expect(harness.delete(.configmaps, "m").code == 200)
    harness.step([.diskLow(false)])
    #expect(harness.create(.configmaps, Manifest.configMap("n")).code == 201)
  }

  @Test(
    "cluster-scoped kinds ignore a namespace; every kind can be created, read and deleted", arguments: Kind.allCases)
  func everyKind(_ kind: Kind) throws {
    let harness = try APIHarness()
    var body: JSON =
      switch kind {
      case .jobs: Manifest.job("x")
      case .cronjobs:
        [
          "metadata": ["name": "x"],
          "spec": ["schedule": "0 0 1 1 *", "jobTemplate": ["spec": Manifest.job("")["spec"] ?? .null]],
        ]
      case .pods: Manifest.pod("x")
      case .persistentvolumes: Storage.volume("x")
      case .persistentvolumeclaims: Storage.claim("x")
      case .storageclasses: ["metadata": ["name": "x"], "provisioner": "kubernetes.io/no-provisioner"]
      default: ["metadata": ["name": "x"]]
      }
    if kind == .events { body["involvedObject"] = ["namespace": "default"] }
    if kind == .rolebindings || kind == .clusterrolebindings {
      body["roleRef"] = ["kind": "ClusterRole", "name": "view"]
    }
    body["apiVersion"] = .string(kind.apiVersion)
    body["kind"] = .string(kind.name)
    #expect(harness.create(kind, body).code == 201)
    let got = harness.get(kind, "x")
    #expect(got.object["kind"]?.stringValue == kind.name)
    #expect(got.object["apiVersion"]?.stringValue == kind.apiVersion)
    #expect((got.object[path: ["metadata", "namespace"]] != nil) == kind.isNamespaced)
    #expect(harness.create(kind, body).code == 409)
    #expect(harness.update(kind, "x", got.object).code == 200)
    #expect(harness.patch(kind, "x", .merge, ["metadata": ["annotations": ["a": "b"]]]).code == 200)
    #expect(harness.list(kind).itemNames.contains("x"))
    #expect(harness.delete(kind, "x") { $0.gracePeriodSeconds = 0 }.code == 200)
    harness.wait(milliseconds: 100)
    if kind != .jobs { #expect(harness.get(kind, "x").code == 404) }
  }
}
