# Programs on the asyncio clients of the official family: kubernetes_asyncio, and the part of the official client that
# has taken it in. Nothing here knows what the server is.

import asyncio
import json

from checks import Program, Skipped, equal, job, space

SPACE = space("asyncio-space")
program = Program("asyncio clients")


async def life(library, place):
    """Makes, watches, patches, reads the log of and deletes a Job, beside nineteen others."""
    client, config, watch = library.client, library.config, library.watch
    await config.load_kube_config()
    async with client.ApiClient() as api:
        core, batch = client.CoreV1Api(api), client.BatchV1Api(api)
        await core.create_namespace({"metadata": {"name": place}})
        version = (await batch.list_namespaced_job(place)).metadata.resource_version
        bodies = [job(f"j{n}", f"echo job {n}", labels={"n": str(n)}) for n in range(20)]
        made = await asyncio.gather(*(batch.create_namespaced_job(place, body) for body in bodies))
        equal(len({item.metadata.uid for item in made}), 20)
        done, watcher = set(), watch.Watch()
        async for event in watcher.stream(batch.list_namespaced_job, place, resource_version=version):
            item = event["object"]
            if any(c.type == "Complete" for c in item.status.conditions or []):
                done.add(item.metadata.name)
            if len(done) == 20:
                watcher.stop()
                break
        patched = await batch.patch_namespaced_job("j0", place, {"metadata": {"labels": {"seen": "yes"}}})
        equal(patched.metadata.labels, {"n": "0", "seen": "yes"})
        pods = await core.list_namespaced_pod(place, label_selector="n=7")
        equal(pods.items[0].status.container_statuses[0].state.terminated.exit_code, 0)
        equal(await core.read_namespaced_pod_log(pods.items[0].metadata.name, place), "job 7\n")
        try:
            await batch.create_namespaced_job(place, job("j0"))
        except client.ApiException as error:
            equal((error.status, json.loads(error.body)["reason"]), (409, "AlreadyExists"))
        else:
            raise AssertionError("made twice")
        await batch.delete_namespaced_job("j0", place, propagation_policy="Background")
        names = {item.metadata.name for item in (await batch.list_namespaced_job(place)).items}
        equal(names, {f"j{n}" for n in range(1, 20)})
        await core.delete_namespace(place)


@program.check("kubernetes_asyncio: twenty Jobs from creation to deletion, watched")
def _():
    import kubernetes_asyncio

    asyncio.run(life(kubernetes_asyncio, SPACE))


@program.check("kubernetes.aio: the same")
def _():
    try:
        import kubernetes.aio
        import kubernetes.aio.client
        import kubernetes.aio.config
        import kubernetes.aio.watch
    except ImportError as error:
        raise Skipped(f"this version: {error}") from error
    asyncio.run(life(kubernetes.aio, f"{SPACE}-2"))


program.end()
