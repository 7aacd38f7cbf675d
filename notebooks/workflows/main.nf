// A folder of images becomes a folder of OME-Zarr pyramids:
//
//     nextflow run main.nf --images '/data/raw/*.tif' --outdir /data/pyramids --args '--chunks 128'
//
// Images and pyramids are values, not paths: tasks read and write them where they are, and nothing is staged or copied.
// Every task may run again, after a failure or by -resume: daskome leaves out what is finished.

process INIT {
    tag "${name}"

    input:
    tuple val(name), val(image), val(target)
    val args

    output:
    tuple val(name), val(image), val(target)

    script:
    """
    daskome init '${image}' '${target}' ${args} --threads ${task.cpus} --memory ${task.memory.toBytes()} \\
        --resume --take-over --quiet
    """
}

process RUN {
    tag "${name} ${part}/${parts}"

    input:
    tuple val(name), val(image), val(target), val(part)
    val parts

    output:
    tuple val(name), val(image), val(target), val(part)

    script:
    """
    daskome run '${target}' --source '${image}' --stage 0 --part ${part}/${parts} \\
        --threads ${task.cpus} --memory ${task.memory.toBytes()} --take-over --quiet
    """
}

// All of a small image; of a large one, what its parts have left: the coarse levels, and the metadata.
process WRITE {
    tag "${name}"

    input:
    tuple val(name), val(image), val(target)
    val args

    output:
    tuple val(name), val(image), val(target)

    script:
    """
    daskome write '${image}' '${target}' ${args} --threads ${task.cpus} --memory ${task.memory.toBytes()} \\
        --resume --take-over --quiet
    """
}

process VERIFY {
    tag "${name}"

    input:
    tuple val(name), val(image), val(target)
    val blocks

    output:
    tuple val(name), val(target)

    script:
    """
    daskome verify '${target}' --source '${image}' --pixels=${blocks} --threads ${task.cpus}
    """
}

// brain.nii.gz and cells.ome.tif become brain.ome.zarr and cells.ome.zarr.
def job(image, outdir) {
    def name = image.name.replaceFirst(/(\.ome)?\.[^.]+(\.gz)?$/, '')
    return tuple(name, image.toUriString(), "${file(outdir).toUriString()}/${name}.ome.zarr".toString())
}

workflow {
    def parts = params.parts as Integer
    def limit = (params.large_gb as BigDecimal) * 1000000000

    found = channel.fromPath(params.images, checkIfExists: true, type: 'any')
    sized = found.branch { image ->
        large: image.size() > limit
        small: true
    }
    large = sized.large.map { image -> job(image, params.outdir) }
    small = sized.small.map { image -> job(image, params.outdir) }

    INIT(large, params.args)
    RUN(INIT.out.combine(channel.of(0..(parts - 1))), parts)
    in_parts = RUN.out
        .groupTuple(by: [0, 1, 2], size: parts)
        .map { name, image, target, _done -> tuple(name, image, target) }
    WRITE(small.mix(in_parts), params.args)
    VERIFY(WRITE.out, params.blocks)
}
