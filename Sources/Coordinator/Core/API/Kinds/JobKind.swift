// Jobs: what the API does for them alone. Cells, defaults and validation, which are long, are in files of their own
// (JobCells, Defaults, JobValidation). It must not know what becomes of a Job.

import ClusterProto

extension KindDescriptor {
  static let jobs = KindDescriptor(
    served: ServedRules(subresources: [.status], isInAll: true),
    table: TableRules(columns: jobColumns) { object, now in
      guard case .job(let job) = object else { return [] }
      return JobCells.cells(job, now)
    },
    selection: SelectionRules(fields: [
      SelectableField(name: "status.successful") { object in
        guard case .job(let job) = object else { return "" }
        return String(job.status.succeeded)
      }
    ]) { "field label \"\($0)\" not supported for Job" },
    writes: WriteRules(
      skeleton: [
        "metadata": [:], "spec": ["template": ["metadata": [:], "spec": ["containers": .null]]], "status": [:],
      ],
      defaults: { json in
        if json["spec"] == nil { json["spec"] = .object(JSONObject()) }
        Defaults.within(&json, "spec", Defaults.job)
      },
      complete: { json, _ in
        JobLabels.generate(
          &json, name: json[path: ["metadata", "name"]]?.stringValue ?? "",
          uid: json[path: ["metadata", "uid"]]?.stringValue ?? "")
      },
      admit: { json, core throws(APIFailure) in try JobHoldRules.admit(json, core) },
      admitUpdate: { json, _, core throws(APIFailure) in try JobHoldRules.admit(json, core) },
      validateNew: { json, errors in
        var validation = JobValidation()
        validation.create(json)
        errors.append(validation.errors)
        JobAnnotationRules.job(json, before: nil, into: &errors)
      },
      validateUpdate: { json, before, errors in
        guard case .job(let job) = before else { return }
        var validation = JobValidation()
        validation.update(json, job)
        errors.append(validation.errors)
        JobAnnotationRules.job(json, before: job.meta.annotations, into: &errors)
        JobHoldRules.update(json, job, into: &errors)
      },
      honesty: { honesty, tree, final in
        honesty.job(final)
        honesty.jobAnnotations(final)
        honesty.manyIndexes(final["spec"] ?? .null, "spec")
        honesty.podSpec(tree.json[path: ["spec", "template", "spec"]] ?? .null, "spec.template.spec")
        honesty.unlimitedToleration(final[path: ["spec", "template", "spec"]] ?? .null, "spec.template.spec")
      },
      inherit: JobLabels.inherit,
      raisesGeneration: { before, after in
        guard case .job(let old) = before, case .job(let new) = after else { return false }
        return new.spec.json != old.spec.json
      }),
    status: StatusRules { json, before throws(APIFailure) in
      guard case .job(var job) = before else { return before }
      var validation = JobStatusValidation(given: json, new: JobStatus(json: json), job: job)
      validation.check()
      if !validation.errors.isEmpty { throw .invalid(.jobs, job.meta.name, validation.errors.all) }
      let own = job
      job.status = validation.new
      JobStatusKeeping.keep(&job.status, of: own)
      JobHoldRules.keepAdmission(&job.status, of: own)
      return .job(job)
    },
    deletion: DeletionRules(
      propagation: .orphan,
      warning: "child pods are preserved by default when jobs are deleted; set propagationPolicy=Background to remove "
        + "them or set propagationPolicy=Orphan to suppress this warning"))

  private static let jobColumns: [TableColumn] = [
    .name, TableColumn("Status", "Status of the job."),
    TableColumn(
      "Completions",
      "The number of pods which reached phase Succeeded. The value increases monotonically for a given spec. "
        + "However, it may "
        + "decrease in reaction to scale down of elastic indexed jobs."),
    TableColumn("Duration", "Time required to complete the job."), .age,
    TableColumn("Containers", "Names of each container in the template.", isWide: true),
    TableColumn("Images", "Images referenced by each container in the template.", isWide: true),
    TableColumn(
      "Selector",
      "A label query over pods that should match the pod count. Normally, the system sets this field for you. "
        + "More info: "
        + "https://kubernetes.io/docs/concepts/overview/working-with-objects/labels/#label-selectors", isWide: true),
  ]
}
