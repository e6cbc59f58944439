// Claims and volumes that people make: which get each other, what is said of those that do not, and how both end.

import ClusterProto
import Testing

@testable import CoordinatorCore

@Suite("Storage binding") struct StorageBindingTests {
  private let none: JSON = ["storageClassName": ""]

  // MARK: Refused

  @Test(
    "a volume that is wrong in itself, or of what this version does not serve, is refused by name",
    arguments: [
      (["accessModes": []], "spec.accessModes: Required value: at least 1 access mode is required"),
      (["accessModes": ["Odd"]], #"spec.accessModes: Unsupported value: "Odd": supported values: "ReadOnlyMany""#),
      (
        ["accessModes": ["ReadWriteOncePod", "ReadWriteOnce"]],
        "spec.accessModes: Forbidden: may not use ReadWriteOncePod with other access modes"
      ),
      (["capacity": .null], "spec.capacity: Required value"),
      (["capacity": ["storage": "0"]], #"spec.capacity[storage]: Invalid value: "0": must be greater than zero"#),
      (["hostPath": .null], "spec: Required value: must specify a volume type"),
      (["nfs": ["server": "s", "path": "/p"]], "spec.nfs: Forbidden: may not specify more than 1 volume type"),
      (["hostPath": .null, "csi": ["driver": "d"]], "spec.csi: Forbidden: not supported by this version"),
      (["hostPath": ["path": "/a/../b"]], "spec.hostPath.path: Invalid value"),
      (["hostPath": .null, "nfs": ["server": "s", "path": "p"]], "spec.nfs.path: Invalid value: \"p\""),
      (
        ["hostPath": .null, "local": ["path": "/mnt"]],
        "spec.nodeAffinity: Required value: Local volume requires node affinity"
      ),
      (["volumeMode": "Block"], "spec.volumeMode: Forbidden: Block is not supported by this version"),
      (["persistentVolumeReclaimPolicy": "Recycle"], "spec.persistentVolumeReclaimPolicy: Forbidden: Recycle"),
      (["nodeAffinity": ["required": ["nodeSelectorTerms": []]]], "must have at least one node selector term"),
    ] as [(JSON, String)])
  func wrongVolumes(more: JSON, message: String) throws {
    var harness = try FleetHarness()
    let answer = harness.create(.persistentvolumes, Storage.volume("v", more: more))
    #expect(
      answer.code == 422 && answer.object["message"]?.stringValue?.contains(message) == true, "\(answer.object.text)")
  }

  @Test(
    "what of a share would be a flag or another line for the program that mounts it is refused",
    arguments: [
      (["nfs": ["server": "-v", "path": "/p"]], "spec.nfs.server: Invalid value: \"-v\": must be a host name"),
      (["nfs": ["server": "a b", "path": "/p"]], "spec.nfs.server: Invalid value"),
      (["nfs": ["server": "s:/x,y", "path": "/p"]], "spec.nfs.server: Invalid value"),
      (["nfs": ["server": "[::1]", "path": "/p"]], "IPv6 without brackets"),
      (["nfs": ["server": "s", "path": "/p\nq"]], "spec.nfs.path: Invalid value: \"/p\\nq\": must not contain"),
      (["nfs": ["server": "s", "path": "/p\0"]], "spec.nfs.path: Invalid value"),
      (
        ["nfs": ["server": "s", "path": "/p"], "mountOptions": ["ro", "a\tb"]], "spec.mountOptions[1]: Invalid value"
      ),
      (["nfs": ["server": "s", "path": "/p"], "mountOptions": [""]], "spec.mountOptions[0]: Invalid value"),
    ] as [(JSON, String)])
  func wrongShares(more: JSON, message: String) throws {
    var harness = try FleetHarness()
    var without = more
    without["hostPath"] = .null
    let answer = harness.create(.persistentvolumes, Storage.volume("v", more: without))
    #expect(
      answer.code == 422 && answer.object["message"]?.stringValue?.contains(message) == true, "\(answer.object.text)")
  }

  @Test(
    "a share of a host name or an address is taken", arguments: ["nas-1.example", "10.0.0.9", "fd00::1", "fe80::1%e0"])
  func rightShares(server: String) throws {
    var harness = try FleetHarness()
    let more: JSON = [
      "hostPath": .null, "nfs": ["server": .string(server), "path": "/srv/a b"], "mountOptions": ["nfsvers=4.1,hard"],
    ]
    #expect(harness.create(.persistentvolumes, Storage.volume("v", more: more)).code == 201)
  }

  @Test(
    "a claim that is wrong in itself is refused in Kubernetes' words",
    arguments: [
      (["resources": [:]], "spec.resources[storage]: Required value"),
      (["accessModes": []], "spec.accessModes: Required value: at least 1 access mode is required"),
      (["volumeMode": "Block"], "spec.volumeMode: Forbidden: Block is not supported by this version"),
      (["dataSource": ["kind": "VolumeSnapshot", "name": "s"]], "spec.dataSource: Forbidden: not supported"),
      (["selector": ["matchExpressions": [["key": "k", "operator": "Odd"]]]], "not a valid selector operator"),
      (["storageClassName": "A b"], "spec.storageClassName: Invalid value"),
    ] as [(JSON, String)])
  func wrongClaims(more: JSON, message: String) throws {
    var harness = try FleetHarness()
    let answer = harness.create(.persistentvolumeclaims, Storage.claim("c", more: more))
    #expect(
      answer.code == 422 && answer.object["message"]?.stringValue?.contains(message) == true, "\(answer.object.text)")
  }

  @Test("a class of a storage driver is refused by name, and one of ours that would bind at once") func wrongClasses()
    throws
  {
    var harness = try FleetHarness()
    func refusal(_ harness: inout FleetHarness, _ more: JSON) -> String {
      var body: JSON = ["metadata": ["name": "s"], "volumeBindingMode": "WaitForFirstConsumer"]
      for (key, value) in more.objectValue ?? JSONObject() { body[key] = value }
      return harness.create(.storageclasses, body).object["message"]?.stringValue ?? ""
    }
    #expect(refusal(&harness, ["provisioner": "ebs.csi.aws.com"]).contains("there are no storage drivers"))
    #expect(
      refusal(&harness, ["provisioner": "stint.dev/local-path", "volumeBindingMode": "Immediate"]).contains(
        "it must be WaitForFirstConsumer"))
    #expect(refusal(&harness, [:]).contains("provisioner: Required value"))
    #expect(harness.create(.storageclasses, ["metadata": ["name": "s"], "provisioner": "x"]).code == 422)
    let made = harness.create(
      .storageclasses, ["metadata": ["name": "hand"], "provisioner": "kubernetes.io/no-provisioner"])
    #expect(made.code == 201 && made.object["volumeBindingMode"] == "Immediate")
    #expect(made.object["reclaimPolicy"] == "Delete")
  }

  @Test("a pod's volumes name a claim, or say what its own is like") func wrongPods() throws {
    let harness = try APIHarness()
    func message(_ volume: JSON) -> String {
      var volume = volume
      volume["name"] = "v"
      return harness.create(.pods, Manifest.pod("p", spec: ["volumes": [volume]])).message
    }
    #expect(message(["persistentVolumeClaim": [:]]).contains("persistentVolumeClaim.claimName: Required value"))
    #expect(message(["ephemeral": [:]]).contains("ephemeral.volumeClaimTemplate: Required value"))
    #expect(
      message(["ephemeral": ["volumeClaimTemplate": ["spec": ["accessModes": ["ReadWriteOnce"]]]]]).contains(
        "volumeClaimTemplate.spec.resources[storage]: Required value"))
    #expect(message(["nfs": ["server": "s", "path": "/p"]]).contains("nfs: Forbidden: not supported by this version"))
  }

  // MARK: Found

  @Test("a claim gets the smallest free volume that has its class, modes and labels; the others stay free")
  func smallest() throws {
    var harness = try FleetHarness()
    harness.create(.persistentvolumes, Storage.volume("big", "100Gi"))
    harness.create(.persistentvolumes, Storage.volume("small", "1Gi"))
    harness.create(.persistentvolumes, Storage.volume("fit", "6Gi", ["ReadWriteOnce", "ReadOnlyMany"]))
    harness.create(.persistentvolumes, Storage.volume("other", "5Gi", more: ["storageClassName": "slow"]))
    #expect(harness.phase(.persistentvolumes, "fit") == "Available")
    harness.create(.persistentvolumeclaims, Storage.claim("c", "5Gi", more: none))
    #expect(harness.volume(of: "c") == "fit")
    #expect(harness.phase(.persistentvolumeclaims, "c") == "Bound")
    #expect(harness.phase(.persistentvolumes, "fit") == "Bound")
    let claim = harness.object(.persistentvolumeclaims, "c")
    #expect(claim?.body["status"]?[path: ["capacity", "storage"]] == "6Gi")
    #expect(claim?.meta.annotations["pv.kubernetes.io/bind-completed"] == "yes")
    let volume = harness.object(.persistentvolumes, "fit")
    #expect(volume?.body["spec"]?[path: ["claimRef", "uid"]]?.stringValue == claim?.meta.uid)
    #expect(["big", "small", "other"].allSatisfy { harness.phase(.persistentvolumes, $0) == "Available" })
  }

  @Test("a claim that finds nothing says why, and the first volume that will do is its") func later() throws {
    var harness = try FleetHarness()
    harness.create(.persistentvolumeclaims, Storage.claim("c", "5Gi", more: none))
    #expect(harness.phase(.persistentvolumeclaims, "c") == "Pending")
    #expect(
      harness.events("FailedBinding") == ["no persistent volumes available for this claim and no storage class is set"])
    harness.create(.persistentvolumes, Storage.volume("small", "1Gi"))
    #expect(harness.volume(of: "c") == nil)
    harness.create(.persistentvolumes, Storage.volume("fit", "5Gi"))
    #expect(harness.volume(of: "c") == "fit")
    harness.create(.persistentvolumeclaims, Storage.claim("d", more: ["storageClassName": "gone"]))
    #expect(harness.events("ProvisioningFailed") == [#"storageclass.storage.k8s.io "gone" not found"#])
  }

  @Test("a selector chooses by labels") func selector() throws {
    var harness = try FleetHarness()
    harness.create(.persistentvolumes, Storage.volume("plain"))
    let more: JSON = ["storageClassName": "", "selector": ["matchLabels": ["disk": "fast"]]]
    harness.create(.persistentvolumeclaims, Storage.claim("c", more: more))
    #expect(harness.volume(of: "c") == nil)
    harness.create(.persistentvolumes, Storage.volume("fast", labels: ["disk": "fast"]))
    #expect(harness.volume(of: "c") == "fast")
  }

  @Test("two claims at once never get one volume") func twoAtOnce() throws {
    var harness = try FleetHarness()
    harness.create(.persistentvolumes, Storage.volume("one"))
    let claims = ["c", "d"].map { Storage.claim($0, more: none) }
    harness.step(
      claims.enumerated().map { index, body in
        .request(
          RequestID(800 + index),
          APIRequest(verb: .create, kind: .persistentvolumeclaims, namespace: "default", body: body))
      })
    #expect(["c", "d"].compactMap { harness.volume(of: $0) } == ["one"])
  }

  @Test("a claim that names its volume gets that one or none, and says why") func named() throws {
    var harness = try FleetHarness()
    func named(_ name: String, _ volume: String, _ size: String = "1Gi") -> JSON {
      Storage.claim(name, size, more: ["storageClassName": "", "volumeName": .string(volume)])
    }
    harness.create(.persistentvolumeclaims, named("early", "mine"))
    #expect(harness.phase(.persistentvolumeclaims, "early") == "Pending")
    harness.create(.persistentvolumes, Storage.volume("mine"))
    #expect(harness.phase(.persistentvolumeclaims, "early") == "Bound")
    harness.create(.persistentvolumeclaims, named("late", "mine"))
    #expect(harness.events("FailedBinding") == [#"volume "mine" already bound to a different claim."#])
    harness.create(.persistentvolumes, Storage.volume("tiny", "1Mi"))
    harness.create(.persistentvolumeclaims, named("large", "tiny"))
    #expect(
      harness.events("VolumeMismatch") == [#"Cannot bind to requested volume "tiny": requested PV is too small"#])
  }

  @Test("a volume that is kept for a claim goes to no other") func reserved() throws {
    var harness = try FleetHarness()
    let kept: JSON = ["claimRef": ["namespace": "default", "name": "mine"]]
    harness.create(.persistentvolumes, Storage.volume("kept", more: kept))
    harness.create(.persistentvolumeclaims, Storage.claim("other", more: none))
    #expect(harness.volume(of: "other") == nil)
    harness.create(.persistentvolumeclaims, Storage.claim("mine", more: none))
    #expect(harness.volume(of: "mine") == "kept")
  }

  // MARK: Pods

  @Test("a pod waits for its claim in Kubernetes' words, and runs once it is bound") func waits() throws {
    var harness = try FleetHarness.joined(["a", "b"])
    harness.addPod("p", extra: Storage.using("c"))
    let help = "preemption: 0/2 nodes are available: 2 Preemption is not helpful for scheduling."
    #expect(harness.wait("p") == "0/2 nodes are available: persistentvolumeclaim \"c\" not found. \(help)")
    harness.create(.persistentvolumeclaims, Storage.claim("c", more: none))
    #expect(
      harness.wait("p") == "0/2 nodes are available: pod has unbound immediate PersistentVolumeClaims. \(help)")
    harness.create(.persistentvolumes, Storage.volume("v"))
    let pod = try #require(harness.pod("p"))
    let node = try #require(pod.nodeName)
    let body = harness.agents[node]?.bodies.values.first
    #expect(body?.references["volumes/v-c"]?[path: ["hostPath", "path"]] == "/srv/v")
  }

  @Test("a volume's nodes are the pod's") func affinity() throws {
    var harness = try FleetHarness.joined(["a", "b"])
    harness.create(.persistentvolumes, Storage.volume("v", more: ["nodeAffinity": Storage.nodes("b")]))
    harness.create(.persistentvolumeclaims, Storage.claim("c", more: none))
    for name in ["p", "q", "r"] { harness.addPod(name, extra: Storage.using("c")) }
    #expect(["p", "q", "r"].allSatisfy { harness.pod($0)?.nodeName == "b" })
    harness.addPod("s", selector: ["kubernetes.io/hostname": "a"], extra: Storage.using("c"))
    #expect(
      harness.wait("s")?.hasPrefix(
        "0/2 nodes are available: 1 node(s) didn't match PersistentVolume's node affinity, 1 node(s) "
          + "didn't match Pod's node affinity/selector.") == true, "\(harness.wait("s") ?? "")")
    #expect(harness.problems().isEmpty)
  }

  @Test("of a class that binds with the first pod, the pod's node chooses among the volumes that are there")
  func delayed() throws {
    var harness = try FleetHarness.joined(["a", "b"])
    harness.create(
      .storageclasses,
      [
        "metadata": ["name": "hand"], "provisioner": "kubernetes.io/no-provisioner",
        "volumeBindingMode": "WaitForFirstConsumer",
      ])
    let hand: JSON = ["storageClassName": "hand"]
    harness.create(.persistentvolumeclaims, Storage.claim("c", more: hand))
    harness.addPod("p", extra: Storage.using("c"))
    #expect(
      harness.wait("p")?.hasPrefix(
        "0/2 nodes are available: 2 node(s) didn't find available persistent volumes to bind.") == true)
    harness.create(
      .persistentvolumes, Storage.volume("v", more: ["storageClassName": "hand", "nodeAffinity": Storage.nodes("b")]))
    #expect(harness.pod("p")?.nodeName == "b")
    #expect(harness.volume(of: "c") == "v")
  }

  @Test("a ReadWriteOncePod claim is one pod's: the next one waits until that attempt is proven to have ended")
  func exclusive() throws {
    var harness = try FleetHarness.joined(["a", "b"])
    harness.create(.persistentvolumes, Storage.volume("v", "1Gi", ["ReadWriteOncePod"]))
    harness.create(.persistentvolumeclaims, Storage.claim("c", "1Gi", ["ReadWriteOncePod"], more: none))
    for name in ["p", "q"] { harness.addPod(name, extra: Storage.using("c")) }
    let node = try #require(harness.pod("p")?.nodeName)
    #expect(harness.pod("q")?.nodeName == nil)
    let text = "node has pod using PersistentVolumeClaim with the same name and ReadWriteOncePod access mode"
    #expect(harness.wait("q")?.hasPrefix("0/2 nodes are available: 2 \(text).") == true, "\(harness.wait("q") ?? "")")
    // The object goes by force; its processes may still run.
    harness.pass(8_000, beating: node == "a" ? ["b"] : ["a"])
    harness.core.erase(ObjectReference(kind: .pods, key: ObjectKey(namespace: "default", name: "p")))
    harness.step([])
    #expect(harness.pod("q")?.nodeName == nil, "nothing proves that p is dead")
    harness.pass(60_000, beating: node == "a" ? ["b"] : ["a"])
    #expect(harness.pod("q")?.nodeName != nil)
  }

  // MARK: Ends

  @Test("a claim that a pod uses goes when that pod is gone, and its volume is released and kept") func retained()
    throws
  {
    var harness = try FleetHarness.joined(["a"])
    harness.create(.persistentvolumes, Storage.volume("v"))
    harness.create(.persistentvolumeclaims, Storage.claim("c", more: none))
    harness.addPod("p", extra: Storage.using("c"))
    harness.delete(.persistentvolumeclaims, "c")
    #expect(harness.object(.persistentvolumeclaims, "c")?.meta.deletionTimestamp != nil)
    harness.addPod("q", extra: Storage.using("c"))
    #expect(harness.wait("q")?.contains(#"persistentvolumeclaim "c" is being deleted"#) == true)
    harness.succeed("p")
    #expect(harness.object(.persistentvolumeclaims, "c") != nil, "a pod that has ended still names it")
    harness.delete(.pods, "p")
    #expect(harness.object(.persistentvolumeclaims, "c") == nil)
    #expect(harness.phase(.persistentvolumes, "v") == "Released")
    harness.create(.persistentvolumeclaims, Storage.claim("c", more: none))
    #expect(harness.volume(of: "c") == nil, "what it holds is another claim's")
    #expect(harness.patch(.persistentvolumes, "v", ["spec": ["claimRef": .null]]) == 200)
    #expect(harness.volume(of: "c") == "v")
  }

  @Test("a bound volume that is deleted stays until its claim is gone; one that is lost is said to be") func lost()
    throws
  {
    var harness = try FleetHarness.joined(["a"])
    harness.create(.persistentvolumes, Storage.volume("v"))
    harness.create(.persistentvolumeclaims, Storage.claim("c", more: none))
    harness.delete(.persistentvolumes, "v")
    #expect(harness.object(.persistentvolumes, "v")?.meta.deletionTimestamp != nil)
    #expect(harness.phase(.persistentvolumeclaims, "c") == "Bound")
    #expect(harness.patch(.persistentvolumes, "v", ["metadata": ["finalizers": .null]]) == 200)
    #expect(harness.object(.persistentvolumes, "v") == nil)
    #expect(harness.phase(.persistentvolumeclaims, "c") == "Lost")
    #expect(
      harness.events("ClaimLost") == ["Bound claim has lost its PersistentVolume. Data on the volume is lost!"])
    harness.addPod("p", extra: Storage.using("c"))
    #expect(
      harness.wait("p")?.contains(#"persistentvolumeclaim "c" bound to non-existent persistentvolume "v""#) == true)
  }

  @Test("a volume made by hand whose policy is Delete has nobody to remove it, and says so") func failed() throws {
    var harness = try FleetHarness()
    harness.create(.persistentvolumes, Storage.volume("v", more: ["persistentVolumeReclaimPolicy": "Delete"]))
    harness.create(.persistentvolumeclaims, Storage.claim("c", more: none))
    harness.delete(.persistentvolumeclaims, "c")
    #expect(harness.phase(.persistentvolumes, "v") == "Failed")
    #expect(harness.events("VolumeFailedDelete").first?.contains("no deletable volume plugin matched") == true)
    harness.delete(.persistentvolumes, "v")
    #expect(harness.object(.persistentvolumes, "v") == nil)
  }

  @Test("a restart changes nothing, and what waited goes on") func restart() throws {
    var harness = try FleetHarness.joined(["a"])
    harness.create(.persistentvolumes, Storage.volume("v"))
    harness.create(.persistentvolumeclaims, Storage.claim("c", more: none))
    harness.create(.persistentvolumeclaims, Storage.claim("d", "2Gi", more: none))
    harness.addPod("p", extra: Storage.using("c"))
    let before = harness.object(.persistentvolumes, "v")
    try harness.restart()
    #expect(harness.object(.persistentvolumes, "v") == before)
    #expect(harness.volume(of: "c") == "v")
    harness.create(.persistentvolumes, Storage.volume("w", "2Gi"))
    #expect(harness.volume(of: "d") == "w")
    harness.delete(.persistentvolumeclaims, "c")
    #expect(harness.object(.persistentvolumeclaims, "c") != nil, "its attempt is remembered")
  }

  @Test("what is bound stays as it was made") func immutable() throws {
    var harness = try FleetHarness()
    harness.create(.persistentvolumes, Storage.volume("v"))
    harness.create(.persistentvolumeclaims, Storage.claim("c", more: none))
    #expect(harness.patch(.persistentvolumes, "v", ["spec": ["hostPath": ["path": "/etc"]]]) == 422)
    #expect(
      harness.patch(.persistentvolumeclaims, "c", ["spec": ["resources": ["requests": ["storage": "9Gi"]]]]) == 422)
    #expect(harness.patch(.persistentvolumeclaims, "c", ["metadata": ["labels": ["a": "b"]]]) == 200)
    #expect(harness.patch(.storageclasses, "local-path", ["reclaimPolicy": "Retain"]) == 422)
  }

  @Test("quotas and LimitRanges count what claims ask for") func quotas() throws {
    let harness = try APIHarness()
    let hard: JSON = [
      "persistentvolumeclaims": "2", "requests.storage": "5Gi",
      "local-path.storageclass.storage.k8s.io/requests.storage": "4Gi",
    ]
    #expect(harness.create(.resourcequotas, ["metadata": ["name": "q"], "spec": ["hard": hard]]).code == 201)
    #expect(harness.create(.persistentvolumeclaims, Storage.claim("a", "3Gi")).code == 201)
    let second = harness.create(.persistentvolumeclaims, Storage.claim("b", "3Gi"))
    #expect(second.code == 403)
    #expect(second.message.contains("exceeded quota: q, requested: local-path.storageclass"), "\(second.message)")
    #expect(
      harness.create(.persistentvolumeclaims, Storage.claim("b", "2Gi", more: ["storageClassName": ""])).code == 201)
    let used = harness.get(.resourcequotas, "q").object[path: ["status", "used"]]
    #expect(used?["requests.storage"] == "5Gi" && used?["persistentvolumeclaims"] == "2")
    #expect(harness.core.quotaProblems().isEmpty)
    let limit: JSON = ["type": "PersistentVolumeClaim", "max": ["storage": "1Gi"]]
    #expect(harness.create(.limitranges, ["metadata": ["name": "l"], "spec": ["limits": [limit]]]).code == 201)
    let large = harness.create(.persistentvolumeclaims, Storage.claim("d", "2Gi"))
    #expect(
      large.message
        == #"persistentvolumeclaims "d" is forbidden: maximum storage usage per PersistentVolumeClaim is 1Gi, but "#
        + "request is 2Gi")
  }

  @Test("10,000 claims that wait cost a new volume one look") func cost() throws {
    var harness = try FleetHarness()
    for index in 0..<10_000 {
      harness.core.insert(
        APIObject(
          kind: .persistentvolumeclaims,
          json: Storage.claim("c\(index)", "\(index + 2)Gi", more: none).inNamespace("default")))
    }
    harness.step([])
    let before = harness.core.storage.looked
    harness.create(.persistentvolumes, Storage.volume("v", "1Gi"))
    #expect(harness.core.storage.looked - before < 8, "no claim is as small")
    harness.create(.persistentvolumes, Storage.volume("w", "1000Gi"))
    #expect(harness.volume(of: "c998") == "w", "the largest that it holds")
    #expect(harness.core.storage.looked - before < 20)
  }

  @Test("among 10,000 sizes a pair is found by one look, and turned down ones alone are passed") func looks() {
    var shelves = SizedShelves<String>()
    let shelf = StorageShelf(className: "c", modes: .readWriteOnce)
    for index in 0..<10_000 { shelves.set("v\(index)", on: shelf, bytes: Int64(index)) }
    var looks = 0
    func count(_ suits: Bool) -> Bool {
      looks += 1
      return suits
    }
    #expect(shelves.smallest("c", .readWriteOnce, bytes: 5_000) { _ in count(true) } == "v5000")
    #expect(shelves.largest("c", .readWriteOnce, bytes: 5_000) { _ in count(true) } == "v5000")
    #expect(looks == 2)
    #expect(shelves.smallest("c", .readWriteOnce, bytes: 10) { count($0 == "v13") } == "v13")
    #expect(looks == 6)
    #expect(shelves.smallest("other", .readWriteOnce, bytes: 0) { _ in count(true) } == nil)
    #expect(shelves.smallest("c", .readWriteOncePod, bytes: 0) { _ in count(true) } == nil)
    #expect(looks == 6)
  }

  @Test("a node looks at the volumes of its own host and at those of none, the smaller first") func hosts() {
    var shelves = SizedShelves<String>()
    for index in 0..<1_000 {
      shelves.set(
        "v\(index)", on: StorageShelf(className: "c", modes: .readWriteOnce, host: "h\(index)"), bytes: 10)
    }
    var looks = 0
    func find(_ hosts: [String?]) -> String? {
      shelves.smallest("c", .readWriteOnce, bytes: 1, hosts: hosts) { _ in
        looks += 1
        return true
      }
    }
    #expect(find(["h700", nil]) == "v700" && looks == 1)
    #expect(find(["elsewhere", nil]) == nil && looks == 1)
    shelves.set("small", on: StorageShelf(className: "c", modes: .readWriteOnce), bytes: 5)
    #expect(find(["h700", nil]) == "small")
    shelves.remove("small")
    shelves.set("v700", on: StorageShelf(className: "c", modes: .readWriteOnce, host: "h1"), bytes: 5)
    #expect(find(["h700", nil]) == nil)
    #expect(find(["h1", nil]) == "v700")
  }

  @Test("a volume belongs to a host that its one term names alone") func hostOfVolume() {
    func host(_ terms: [JSON]) -> String? {
      let affinity: JSON = ["nodeAffinity": ["required": ["nodeSelectorTerms": .array(terms)]]]
      let body = Storage.volume("v", more: affinity)
      guard case .other(let object) = APIObject(kind: .persistentvolumes, json: body) else { return nil }
      return VolumeFacts(object).host
    }
    func rule(_ key: String, _ operation: String, _ values: [JSON]) -> JSON {
      ["matchExpressions": [["key": .string(key), "operator": .string(operation), "values": .array(values)]]]
    }
    #expect(host([rule("kubernetes.io/hostname", "In", ["a"])]) == "a")
    #expect(host([rule("kubernetes.io/hostname", "In", ["a", "b"])]) == nil)
    #expect(host([rule("kubernetes.io/hostname", "NotIn", ["a"])]) == nil)
    #expect(host([rule("zone", "In", ["a"])]) == nil)
    #expect(
      host([rule("kubernetes.io/hostname", "In", ["a"]), rule("kubernetes.io/hostname", "In", ["b"])]) == nil)
  }
}

extension JSON {
  fileprivate func inNamespace(_ name: String) -> JSON {
    var json = self
    json[path: ["metadata", "namespace"]] = .string(name)
    return json
  }
}
