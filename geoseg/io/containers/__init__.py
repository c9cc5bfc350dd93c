"""Files that hold several rasters: netCDF and HDF5, TIFF of several images, Sentinel-2 products."""
